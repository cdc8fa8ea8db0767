"""Finding out what a host holds: the step types of the plugin `discovery`."""
