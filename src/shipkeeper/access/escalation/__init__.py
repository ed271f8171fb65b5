"""The ways from what somebody may do to what nobody meant them to."""
