"""Backup repositories on object storage: deduplicated, encrypted, signed."""
