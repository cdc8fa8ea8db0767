"""What must be true of a blueprint and its hosts before it runs: rules, what is known, and what follows from both."""
