"""The coordinator as a program: its settings read, its event loop made, and its end as an exit code."""

import asyncio
import gc
import os
import sys
from collections.abc import Mapping
from typing import Any, Final

import uvloop

from pilotage_coordinator.bootstrap import CannotServe, serve
from pilotage_coordinator.config import SettingsRefused, config_file, load_config

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2

COLLECTION: Final = (50_000, 20, 100)
"""Allocations, and rounds of the younger generation, after which the garbage collector looks at each generation."""


def run(options: Mapping[str, Any], *, after_restore: bool = False, accept_audit_fault: str = "") -> int:
    """Serve in the foreground until Ctrl-C or SIGTERM, with options as given on the command line (None: not given).

    `after_restore`, `accept_audit_fault`: see `bootstrap.serve`.
    """
    try:
        config = load_config(options, os.environ, config_file())
        # uvloop carries half as many streams again as asyncio's own loop; nothing is spawned through it.
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(config, settle_memory, after_restore=after_restore, accept_audit_fault=accept_audit_fault))
    except SettingsRefused as error:
        sys.stderr.write(f"error: settings: {error}\n")
        return EXIT_USAGE
    except CannotServe as error:
        sys.stderr.write(f"error: {error}\n")
        return EXIT_FAILED
    return EXIT_OK


def settle_memory() -> None:
    """Put all that was imported and made so far out of the garbage collector's sight, and let it look less often.

    A coordinator holds large trees of plans and states that live long, and looking through them took a tenth of its
    time. Starting makes no garbage that is worth a look: with ten thousand steps under way that alone would keep all
    their agents waiting. So whoever starts the program may have switched the collector off.
    """
    gc.freeze()
    gc.set_threshold(*COLLECTION)
    gc.enable()
