"""Container step types against a real Docker Engine and a real registry."""
