"""Importing a library without a part that it takes along and that neither coordinator nor agent has a use for."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


@contextmanager
def standing_for(name: str, stand_in: ModuleType | None) -> Iterator[None]:
    """Let `import name` find the stand-in (None: nothing) inside the block, unless the real one is there already."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = stand_in  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]
