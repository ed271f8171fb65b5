"""One of the ways out: a directory server, over TLS alone."""
