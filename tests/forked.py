"""Doing something in a forked child, for tests that kill it there."""

import os
import warnings


def fork() -> int:
    """Fork as `os.fork` does. Python warns of it beside threads, as pytest-xdist has: the child needs none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()
