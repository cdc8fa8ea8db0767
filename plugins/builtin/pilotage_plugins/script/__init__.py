"""Scripts that people have already: the step types of the plugin `script`."""
