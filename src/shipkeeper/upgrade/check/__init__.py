"""Everything that can stop or break an upgrade, found before it."""
