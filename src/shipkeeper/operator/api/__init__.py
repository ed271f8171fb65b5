"""The custom resources: what may be written into them, and how they are shown."""
