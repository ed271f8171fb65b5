"""The loss of a node that nobody planned: what would come back, when, and what would not."""
