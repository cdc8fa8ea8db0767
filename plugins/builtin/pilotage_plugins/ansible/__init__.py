"""Playbooks that people already have: the step types of the plugin `ansible`."""
