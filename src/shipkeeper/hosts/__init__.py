"""The way out to a node's host: commands run for it, with an end that survives a crash."""
