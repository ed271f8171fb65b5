"""Who may do what: the API server's authorization, answered, explained and tightened."""
