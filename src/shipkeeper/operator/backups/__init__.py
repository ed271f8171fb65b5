"""Backups that are declared instead of commanded: repositories, backups, schedules, restores."""
