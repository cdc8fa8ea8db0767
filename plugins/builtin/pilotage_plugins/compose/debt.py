"""What an attempt of `compose.up` owes to its host: the way back, until every service was proven healthy.

The note is written before anything of the project is changed, and holds all that the way back needs. It goes when the
project is up and healthy, or is back as it was; so whoever finds it, finds a project that an attempt left half done.
"""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Literal

from pilotage_plugin_api import StepContext, TargetFailed
from pydantic import BaseModel

from pilotage_plugins.compose.definition import Definition
from pilotage_plugins.compose.record import Begun, found, note_begin
from pilotage_plugins.compose.standing import Member, Standing, standing
from pilotage_plugins.compose.way_back import put_back
from pilotage_plugins.container.mark import is_at_work, own_mark
from pilotage_plugins.note import owed

if TYPE_CHECKING:
    from pilotage_plugins.container.engine import Engine

DEBT: Final = "compose"


class Owing(BaseModel):
    """The note: which attempt, which process of it, what it found, and by service the hashes of what it was to make."""

    kind: Literal["compose"] = "compose"
    attempt: str
    worker: str
    socket: str
    begun: Begun
    wanted: dict[str, str]


async def owe(attempt: str, socket: str, begun: Begun, wanted: Definition) -> None:
    """Note, durably, that this attempt is about to change the project."""
    note = Owing(attempt=attempt, worker=own_mark(), socket=socket, begun=begun, wanted=wanted.hashes)
    await owed.write(DEBT, attempt, note)


async def owing_of(attempt: str) -> Owing | None:
    """Return what an attempt owes; raises InfrastructureFailed when its note cannot be read."""
    return await asyncio.to_thread(owed.find, DEBT, attempt, Owing)


async def settle(attempt: str) -> None:
    """Forget what an attempt owed."""
    await asyncio.to_thread(owed.settle, DEBT, attempt)


async def take_back(ctx: StepContext, engine: "Engine", owing: Owing) -> str:
    """Bring the project back to what the attempt found, and say so. Repeating it after a crash is fine.

    Raises TargetFailed, having changed nothing, when somebody else has changed the project since, or there is no way
    back any more.
    """
    begun = owing.begun
    if strange := _strange(owing, await standing(engine, begun.project)):
        raise TargetFailed(
            f"{begun.project} was left as it is: {', '.join(strange)} is neither of what was there before the"
            " interrupted compose.up nor of what that was to make, so somebody has changed it since"
        )
    await put_back(ctx, engine, owing.socket, begun)
    after = found(await standing(engine, begun.project))
    services = {
        name: was.model_copy(update={"ids": after[name].ids} if name in after else {})
        for name, was in begun.services.items()
    }
    # The next attempt of the step run compares with what is there now, and the probe must not take it for finished.
    back = begun.model_copy(update={"services": services, "taken_back": owing.attempt})
    await note_begin(owing.attempt.rpartition("/")[0], back)
    await settle(owing.attempt)
    return f"{begun.project} was put back as it was before compose.up"


async def clear(ctx: StepContext, engine: "Engine", socket: str, project: str) -> None:
    """Put in order what interrupted attempts left half done of a project, before another one begins.

    What somebody else has changed since stays. Raises TargetFailed while one is at work.
    """
    notes, problems = await asyncio.to_thread(owed.every, DEBT, Owing)
    for problem in problems:
        ctx.log(problem)
    for owing in notes:
        if (owing.socket, owing.begun.project) != (socket, project):
            continue
        if is_at_work(owing.worker):
            raise TargetFailed(
                f"another step is bringing up {project} at this moment ({owing.attempt}): wait for its end, and start"
                " this one again"
            )
        if _strange(owing, await standing(engine, project)):
            await settle(owing.attempt)
            continue
        ctx.log(f"{await take_back(ctx, engine, owing)}, whose attempt {owing.attempt} was cut off")


def _strange(owing: Owing, now: Standing) -> list[str]:
    """Return the containers that are neither of what was there nor of what was to be made."""
    return [one.name for one in now.members if not (_is_old(owing, one) or _is_new(owing, one))]


def _is_old(owing: Owing, one: Member) -> bool:
    """Whether it was there before, or is made of the configuration of then."""
    was = owing.begun.services.get(one.service)
    if was is None:
        return False
    previous: Mapping[str, str] = owing.begun.previous.hashes if owing.begun.previous else {}
    return one.id in was.ids or one.hash == previous.get(one.service)


def _is_new(owing: Owing, one: Member) -> bool:
    return one.hash == owing.wanted.get(one.service)
