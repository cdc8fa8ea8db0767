"""What goes wrong with a tree."""

from pilotage_plugin_api import StepFailed


class TreeError(StepFailed):
    """A tree or a manifest that cannot be read; the text names the path."""
