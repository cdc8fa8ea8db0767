"""What the value of an expression depends on: the widest of its names."""

from enum import IntEnum


class Depends(IntEnum):
    """From what is the same everywhere to what no plan can know."""

    NOTHING = 0
    PARAMETERS = 1
    HOST = 2
    ITEM = 3
    RUN_TIME = 4
    """It cannot be known by a plan."""
