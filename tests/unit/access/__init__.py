"""Who may do what: the rule, the matrix, limits, tokens."""
