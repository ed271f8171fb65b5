"""Backup and restore of every resource: take, look, compare, restore."""
