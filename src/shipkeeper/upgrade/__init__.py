"""Version upgrades: what runs where, what stands in the way, and every hop proven before it."""
