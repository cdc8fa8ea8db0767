"""Asking over HTTP: the step types of the plugin `http`."""
