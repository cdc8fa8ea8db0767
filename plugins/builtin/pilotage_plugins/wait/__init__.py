"""Waiting for a condition: the step types of the plugin `wait`."""
