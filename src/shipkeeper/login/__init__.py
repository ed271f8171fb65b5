"""Who somebody is, by a directory: the gateway, and what a user's kubectl runs."""
