"""The controls of the CIS benchmark that an API can answer, and plain disorder among roles."""
