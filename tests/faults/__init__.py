"""A reverse proxy in front of a real API server that does harm on request."""
