"""Kubernetes values as frozen structs: only the fields that shipkeeper reads, no I/O."""
