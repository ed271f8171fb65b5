"""NodeMaintenance: a fleet maintenance that is declared instead of commanded."""
