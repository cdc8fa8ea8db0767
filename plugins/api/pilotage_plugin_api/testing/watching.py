"""What a step type lets others on its machine see: the arguments, and the environments, of the processes it starts."""

import os
import sys
import threading
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from pilotage_plugin_api.testing.processes import living_children

LOOK_EVERY_SECONDS: Final = 0.02
"""How often the processes themselves are looked at, which finds what the children of children are given."""


class Watch:
    """A context manager that collects what processes are started with while it is open.

    Python tells of each process that this one starts, however short its life is. Those that these start in turn are
    seen when they live for a moment.
    """

    def __init__(self) -> None:
        self.arguments: set[bytes] = set()
        self.environments: set[bytes] = set()
        self._closed = threading.Event()
        self._before = living_children()
        self._looking = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> "Watch":
        """Begin to watch."""
        _listen()
        _open.add(self)
        self._looking.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Stop watching; what was seen stays."""
        self._closed.set()
        self._looking.join()
        _open.discard(self)

    def started(self, argv: object, environment: object) -> None:
        """Note the start of a process."""
        self.arguments.add(_joined(argv))
        if isinstance(environment, Mapping):
            self.environments.add(b"\0".join(_bytes(k) + b"=" + _bytes(v) for k, v in environment.items()))

    def _look(self) -> None:
        while not self._closed.wait(LOOK_EVERY_SECONDS):
            for pid in living_children() - self._before:
                for name, seen in (("cmdline", self.arguments), ("environ", self.environments)):
                    try:
                        seen.add(Path(f"/proc/{pid}/{name}").read_bytes())
                    except OSError:
                        continue


_open: Final[set[Watch]] = set()
"""The watches that are open now. Python keeps a hook as long as the process lives, so there is one for them all."""

_STARTS: Final[Mapping[str, tuple[int, int | None]]] = {
    "subprocess.Popen": (1, 3),
    "os.posix_spawn": (1, 2),
    "os.exec": (1, 2),
    "os.system": (0, None),
}
"""Python's audit events for a new program, with the places of its arguments and its environment among theirs."""


@cache
def _listen() -> None:
    sys.addaudithook(_hear)


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if event in _STARTS:
        argv, environment = _STARTS[event]
        for watch in tuple(_open):
            watch.started(arguments[argv], None if environment is None else arguments[environment])


def _joined(argv: object) -> bytes:
    if isinstance(argv, str | bytes | os.PathLike) or not isinstance(argv, Iterable):
        return _bytes(argv)
    return b"\0".join(map(_bytes, argv))


def _bytes(part: object) -> bytes:
    return os.fsencode(part) if isinstance(part, str | bytes | os.PathLike) else repr(part).encode()
