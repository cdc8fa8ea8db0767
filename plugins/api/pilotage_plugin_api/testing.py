"""Fixtures and the conformance suite for authors of step types."""
