"""Users of a cluster: who there is, how they log in, how they come and how they go."""
