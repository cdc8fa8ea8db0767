"""Running a program of the host: the step types of the plugin `command`."""
