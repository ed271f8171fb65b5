"""Every certificate of a cluster: what is there, what is wrong with it, what mends it."""
