"""Containers at rest for a while: paused or stopped by an attempt, and always woken again.

What is put to rest is noted before it is touched (`note/owed.py`), so that whoever comes after a crash knows what to
wake, and what was at rest before. Notes go when everything that they name runs again.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Literal

from pilotage_plugin_api import StepError, StepFailed, StepOutputs, TargetFailed

from pilotage_plugins.container.mark import is_at_work, own_mark
from pilotage_plugins.note import owed

if TYPE_CHECKING:
    from pilotage_plugins.container.engine import Engine

Json = dict[str, Any]


class Rest(StrEnum):
    """How a container comes to rest. `pause` freezes its processes: files stand still, memory is kept. `stop` lets it
    write down what it has in memory."""

    PAUSE = "pause"
    STOP = "stop"


class Resting(StepOutputs):
    """The note of an attempt: the containers, id to name, that ran and that it means to put to rest, and the ids of
    those that it was about to touch or has touched. `worker` marks its process; `execution` is the attempt's."""

    kind: Literal["rest"] = "rest"
    attempt: str
    execution: str
    worker: str
    how: Rest
    containers: dict[str, str]
    touched: tuple[str, ...] = ()

    @property
    def is_at_work(self) -> bool:
        """Whether the attempt itself is still there to wake them."""
        return is_at_work(self.worker)


DEBT: Final = "rest"

LONGEST_STOP: Final = 600
"""Seconds until a container that is stopped for a rest is killed."""


def execution_of(attempt: str) -> str:
    """Return the execution of an attempt's key."""
    return attempt.partition("/")[0]


async def put_to_rest(
    engine: "Engine",
    attempt: str,
    names: Iterable[str],
    how: Rest,
    stop_seconds: int | None,
    remember: Callable[[Resting], None],
) -> Resting | None:
    """Pause or stop the containers of these names that run; returns the note, or None when none of them does.

    `remember` gets the note, too, before each container is touched: so the caller knows what to wake whatever becomes
    of the disk. Raises a StepError when one is not there or does not come to rest; the caller wakes what did.
    """
    running: dict[str, Json] = {}
    for name in names:
        found = await engine.inspect(name)
        _must_bear_it(found, how)
        if found["State"]["Running"] and not found["State"]["Paused"]:
            running[found["Id"]] = found
    if not running:
        return None
    note = Resting(
        attempt=attempt,
        execution=execution_of(attempt),
        worker=own_mark(),
        how=how,
        containers={identity: str(found["Name"]).lstrip("/") for identity, found in running.items()},
    )
    for identity in note.containers:
        note = note.model_copy(update={"touched": (*note.touched, identity)})
        await owed.write(DEBT, attempt, note)
        remember(note)
        if how is Rest.PAUSE:
            await engine.pause(identity)
        else:
            await engine.stop(identity, stop_seconds)
    return note


async def find_resting(attempt: str) -> Resting | None:
    """Return what the attempt put to rest and was not woken; None when there is nothing.

    Raises InfrastructureFailed when that cannot be found out.
    """
    return await asyncio.to_thread(owed.find, DEBT, attempt, Resting)


async def resting_of(execution: str) -> tuple[list[Resting], list[str]]:
    """Return what all attempts of an execution have put to rest and was not woken, and which notes cannot be read: they
    may be about more of it. Raises InfrastructureFailed when none can."""
    notes, problems = await asyncio.to_thread(owed.every, DEBT, Resting)
    return [note for note in notes if note.execution == execution], problems


async def wake(engine: "Engine", note: Resting) -> list[str]:
    """Let the containers of a note run again, all that can; returns the names of those that did not. Repeating it is
    fine: one that runs is left alone, one that is gone is not missed.

    Raises StepFailed, naming them, when some stay at rest; their note stays, too.
    """
    woken, problems = [], []
    for identity in note.touched:
        name = note.containers[identity]
        try:
            found = await engine.find(identity)
            if found is not None and await _woken(engine, identity, found["State"], note.how):
                woken.append(name)
        except StepError as error:
            problems.append(f"{name}: {error}")
    if problems:
        still = "paused" if note.how is Rest.PAUSE else "stopped"
        raise StepFailed(f"some containers may still be {still}: {'; '.join(problems)}. Run container.resume_all")
    await asyncio.to_thread(owed.settle, DEBT, note.attempt)
    return woken


async def _woken(engine: "Engine", identity: str, state: Mapping[str, Any], how: Rest) -> bool:
    if how is Rest.STOP:
        # Its stop may be under way, and a start before its end would be lost.
        if state["Running"]:
            await engine.stop(identity, LONGEST_STOP)
        await engine.start(identity)
        return True
    if state["Paused"]:
        await engine.unpause(identity)
    return bool(state["Paused"])


def _must_bear_it(found: Json, how: Rest) -> None:
    name = str(found["Name"]).lstrip("/")
    if found["State"]["Restarting"]:
        raise TargetFailed(f"{name} restarts again and again, so it cannot come to rest: mend it first")
    if how is Rest.STOP and found["HostConfig"].get("AutoRemove"):
        raise TargetFailed(f"{name} was started with --rm: it vanishes when it stops. Pause it instead")
