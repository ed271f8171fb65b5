"""The pages of the console: one module for each, listed in registry.py."""
