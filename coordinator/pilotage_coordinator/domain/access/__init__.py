"""Who may do what to which things: principals, roles, grants with their limits, and the rule that judges."""
