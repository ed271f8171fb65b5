"""The way out to metrics servers: asking one, and giving them what they ask for."""
