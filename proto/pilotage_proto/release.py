"""Which release of Pilotage runs."""

import sys
from pathlib import Path


def release() -> str:
    """Return the version of the installed distribution, as the name of its metadata folder says it; `0` without one.

    importlib.metadata would tell the same, and take a mail parser along: two mebibytes, and the time to import it.
    """
    for place in filter(None, sys.path):
        for found in Path(place).glob("pilotage-*.dist-info"):
            return found.name.removeprefix("pilotage-").removesuffix(".dist-info")
    return "0"
