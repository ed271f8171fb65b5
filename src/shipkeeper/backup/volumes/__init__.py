"""Volumes of a backup: found, saved as files or by snapshots, and brought back."""
