"""Planning the maintenance of a whole fleet: waves, capacity, steering, rehearsal."""
