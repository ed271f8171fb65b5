"""Objects of API versions that are no longer served, made into what is."""
