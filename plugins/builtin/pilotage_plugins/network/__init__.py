"""The network between hosts: the step types `tcp.*`."""
