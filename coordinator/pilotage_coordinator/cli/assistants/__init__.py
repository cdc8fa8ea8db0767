"""What the command line does for assistants: carries their messages, and sets up their clients."""
