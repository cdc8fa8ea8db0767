"""Expressions: CEL, bounded, with names and functions that are known before anything runs."""
