"""A fleet of real processes on this machine, for the demo and the tests that need one."""
