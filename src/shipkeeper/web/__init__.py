"""The console: what the CLI shows and does, in a browser; a door without logic of its own."""
