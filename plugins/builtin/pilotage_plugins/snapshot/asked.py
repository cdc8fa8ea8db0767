"""Asking the programs of volumes and file systems, and what is refused alike by all backends."""

import os
from collections.abc import Sequence

from pilotage_plugin_api import StepContext, StepFailed, TargetFailed

from pilotage_plugins.snapshot.backend import Wish
from pilotage_plugins.snapshot.place import Place


async def answer_of(ctx: StepContext, *argv: str) -> str:
    """Run a program and return what it prints; raises StepFailed with its last words."""
    said: list[bytes] = []
    result = await ctx.program(argv, on_stdout=said.append)
    if result.exit_code:
        words = result.stderr.decode("utf-8", "backslashreplace").strip()[-500:]
        raise StepFailed(f"{' '.join(argv[:3])} failed with {result.ending}: {words}")
    return b"\n".join(said).decode("utf-8", "backslashreplace")


async def lacking(ctx: StepContext, argv: Sequence[str], package: str) -> str:
    """Say why a program cannot be used: it is not installed, it does not run, we are not root; empty when it can."""
    try:
        result = await ctx.program(argv, on_stdout=lambda _line: None, on_stderr=lambda _line: None)
    except TargetFailed:
        return f"{argv[0]} is not installed: apt-get install {package}"
    if result.exit_code:
        words = result.stderr.decode("utf-8", "backslashreplace").strip()[-200:]
        return f"`{' '.join(argv)}` ended with {result.ending}: {words}"
    return "" if os.geteuid() == 0 else "needs root"


def refuse_nested(place: Place, nested: Sequence[str], wish: Wish) -> None:
    """Raise TargetFailed when something inside would not be in the snapshot, unless that is what was asked for."""
    if nested and not wish.leave_out_nested:
        raise TargetFailed(
            f"inside {str(place.path)!r} lie other file systems or subvolumes, which would not be in the snapshot:"
            f" {', '.join(nested[:5])}{' and more' if len(nested) > 5 else ''}. Take snapshots of their own of them,"
            " and set leave_out_nested: true"
        )
