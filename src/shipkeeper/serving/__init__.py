"""A server for webhooks: HTTP/1.1 over TLS, bounded in time and memory."""
