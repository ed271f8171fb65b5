"""An authority replaced by a new one in three stages, each with a stop and a way back."""
