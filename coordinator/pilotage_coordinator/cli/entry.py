"""Where the process begins. `coordinator serve`, plainly written, goes straight to the coordinator: a server needs no
command line to be built for it. Everything else, a wrong option and --help included, goes to the command line proper.

This module, and what it imports, stays small; the two doors are imported only when they are gone through.
"""

import gc
import sys
from collections.abc import Sequence
from importlib import import_module
from types import MappingProxyType
from typing import Final

from pilotage_coordinator.cli.arguments import global_first

SERVE: Final = ("coordinator", "serve")

OPTIONS: Final = MappingProxyType(
    {
        "--socket": "socket",
        "--state-dir": "state_dir",
        "--fleet-listen": "fleet_listen",
        "--enrol-listen": "enrol_listen",
        "--https-listen": "https_listen",
        "--advertise": "advertise",
        "--log-level": "log_level",
    }
)


def main() -> None:
    """Run the process's command line and exit."""
    options = plain_serve(sys.argv[1:])
    if options is None:
        import_module("pilotage_coordinator.cli.app").main()
        return
    # Nothing that is imported goes away again: the garbage collector would look through it dozens of times.
    gc.disable()
    sys.exit(import_module("pilotage_coordinator.program").run(options))


def plain_serve(arguments: Sequence[str]) -> dict[str, str] | None:
    """Return the options of `coordinator serve`; None unless it is that, with known options that have values."""
    options: dict[str, str] = {}
    words: list[str] = []
    waiting = iter(global_first(arguments))
    for each in waiting:
        name, equals, value = each.partition("=")
        if not each.startswith("-"):
            words.append(each)
            continue
        if not equals:
            value = next(waiting, "-")
        if name not in OPTIONS or value.startswith("-") or (name != "--socket" and tuple(words) != SERVE):
            return None
        options[OPTIONS[name]] = value
    return options if tuple(words) == SERVE else None
