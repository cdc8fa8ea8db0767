"""Files: the step types of the plugin `file`."""
