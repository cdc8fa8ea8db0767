"""Containers at rest while their data is read, and awake again in time whatever happens."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from pilotage_plugin_api import Duration, StepContext, StepError, StepFailed
from pydantic import Field, field_validator

from pilotage_plugins.container.connection import EngineParams, open_engine
from pilotage_plugins.container.naming import ContainerName
from pilotage_plugins.container.rest import Rest, Resting, find_resting, put_to_rest, wake
from pilotage_plugins.container.seconds import whole_seconds
from pilotage_plugins.container.way_back import whatever_comes

if TYPE_CHECKING:
    from pilotage_plugins.container.engine import Engine


WAKING_PAUSES: Final = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0)
"""Between tries to wake containers, seconds."""


class Quiesce(EngineParams):
    """Which containers rest, how, and how long at most."""

    containers: tuple[ContainerName, ...] = Field(
        max_length=100, description="Names; those that do not run are left as they are. discovery.data tells them"
    )
    how: Rest = Field(
        Rest.PAUSE,
        description="pause: files stand still as after a power cut. stop: the container writes down what it has in"
        " memory, and is away for longer",
    )
    max: Duration = Field(
        timedelta(minutes=2), description="After this they run again in any case, and the backup fails"
    )
    stop_timeout: Duration | None = Field(None, description="stop: until it is killed (its own, else 10s)")

    @field_validator("max")
    @classmethod
    def _bounded(cls, longest: timedelta) -> timedelta:
        if not timedelta(0) < longest <= timedelta(hours=24):
            raise ValueError("is not between nothing and 24h")
        return longest


@dataclass(slots=True)
class AtRest:
    """What was put to rest: names, and for how long, once they run again. `expired`: for longer than allowed. `note`:
    what has been touched up to now; `awake`: all of it was woken."""

    containers: tuple[str, ...] = ()
    seconds: float | None = None
    expired: bool = False
    note: Resting | None = None
    awake: bool = False

    def remember(self, note: Resting) -> None:
        """Keep what is about to be touched."""
        self.note = note


@asynccontextmanager
async def at_rest(ctx: StepContext, quiesce: Quiesce | None) -> AsyncIterator[AtRest]:
    """Put the containers to rest, run the body, and wake them, also when the body fails or is cancelled.

    When `max` has passed they are woken at once, before the body is stopped; then StepFailed is raised, `expired` is
    set, and what the body has read must not be called consistent. Raises StepFailed too when some cannot be woken.
    """
    rest = AtRest()
    if quiesce is None or not quiesce.containers:
        yield rest
        return
    async with open_engine(ctx, quiesce) as engine:
        began = ctx.clock()
        body = asyncio.current_task()
        assert body is not None
        timer = asyncio.ensure_future(_wake_after(ctx, engine, quiesce, rest, body))
        try:
            seconds = whole_seconds(quiesce.stop_timeout)
            note = await put_to_rest(engine, ctx.attempt_key, quiesce.containers, quiesce.how, seconds, rest.remember)
            rest.containers = tuple(note.containers.values()) if note else ()
            if note:
                ctx.log(f"at rest ({quiesce.how}): {', '.join(rest.containers)}")
            yield rest
        except BaseException as error:
            await _wake_all(ctx, engine, timer, rest, began)
            if rest.expired and isinstance(error, asyncio.CancelledError):
                body.uncancel()
                raise _too_long(rest, quiesce) from error
            raise
        await _wake_all(ctx, engine, timer, rest, began)
        if rest.expired:
            raise _too_long(rest, quiesce)


async def wake_interrupted(ctx: StepContext, quiesce: Quiesce | None, attempt: str) -> str:
    """Wake what an interrupted attempt left at rest; says what that was, empty when nothing."""
    note = await find_resting(attempt) if quiesce is not None else None
    if quiesce is None or note is None:
        return ""
    async with open_engine(ctx, quiesce) as engine:
        woken = await wake(engine, note)
    return f"woke {', '.join(woken)}" if woken else ""


async def _wake_after(
    ctx: StepContext, engine: "Engine", quiesce: Quiesce, rest: AtRest, body: "asyncio.Task[object]"
) -> None:
    await asyncio.sleep(quiesce.max.total_seconds())
    rest.expired = True
    try:
        await _wake_touched(ctx, engine, rest)
    except StepError as error:
        ctx.log(str(error))
    finally:
        body.cancel()


async def _wake_all(
    ctx: StepContext, engine: "Engine", timer: "asyncio.Future[None]", rest: AtRest, began: float
) -> None:
    """Wake what is still at rest, to the end of it: the timer, which stops the body, must not come in between."""
    if not rest.expired:
        timer.cancel()

    async def to_the_end() -> None:
        await asyncio.wait({timer})
        await _wake_touched(ctx, engine, rest)

    await whatever_comes(to_the_end())
    rest.seconds = round(ctx.clock() - began, 3)
    if rest.containers:
        ctx.log(f"awake again after {rest.seconds:g} s: {', '.join(rest.containers)}")


async def _wake_touched(ctx: StepContext, engine: "Engine", rest: AtRest) -> None:
    """Wake what was touched; an engine that is away for a moment is waited for."""
    if rest.awake:
        return
    for pause in (*WAKING_PAUSES, None):
        settled = bool(rest.containers)  # otherwise one may be on its way to rest, and has to be woken again
        try:
            # What this process remembers needs no disk; a note without it is that of an earlier process.
            note = rest.note or await find_resting(ctx.attempt_key)
            if note is not None:
                await wake(engine, note)
        except StepError as error:
            if pause is None:
                raise
            ctx.log(f"{error} Trying again in {pause:g} s")
            await asyncio.sleep(pause)
        else:
            rest.awake = settled
            return


def _too_long(rest: AtRest, quiesce: Quiesce) -> StepFailed:
    return StepFailed(
        f"{', '.join(rest.containers) or 'the containers'} may rest for {quiesce.max} and reading took longer: they run"
        " again, and nothing that was read is called a backup. Raise quiesce.max, or back up less at once"
    )
