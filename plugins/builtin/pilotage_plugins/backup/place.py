"""Where a database is restored to: what is there, and how the new one takes its place.

Whatever the engine, a database is first loaded beside its place, under a name made from the attempt, and takes the
place only when it is whole. So what was there is touched at the very end, and what an interrupted attempt left is
found by its name.
"""

import hashlib
from dataclasses import dataclass
from typing import Literal, Protocol

from pilotage_plugin_api import StepOutputs

from pilotage_plugins.backup.stored import StoredCopy
from pilotage_plugins.backup.target import TargetWas


class Placed(StepOutputs):
    """What has taken the place. `identity` tells it from any other database that may ever be there. `previous`: where
    what was there is kept; None when nothing was, or when it was not to be kept. `target_was`: what was there.
    `changed`: false when both were empty, so that nothing was done."""

    identity: str
    previous: str | None
    target_was: TargetWas
    changed: bool = True


class PlacedNote(StepOutputs):
    """The note of an attempt that is about to put its database into the place, or has done so."""

    kind: Literal["database"] = "database"
    placed: Placed


@dataclass(frozen=True, slots=True)
class Wish:
    """How the place is to be taken. `owners`: objects belong to whom they belonged, and rights are given as they were.
    `keep_previous`: what was there is kept under another name."""

    owners: bool = True
    keep_previous: bool = True


class Place(Protocol):
    """Port: the place of one database, as one attempt sees it.

    Order of calls: `look`, `load`, `put`; after a failure or an interruption `tidy`, which may be called at any time,
    twice, and by another process, and `placed`, which then tells whether the place was taken.
    """

    async def look(self) -> TargetWas:
        """Say what is there, changing nothing; raises StepError when that cannot be told."""

    async def load(self, copy: StoredCopy) -> None:
        """Load the copy beside the place. Raises StepError; what was loaded until then is left to `tidy`."""

    async def put(self, was: TargetWas) -> Placed:
        """Put what was loaded into the place, where `was` was found."""

    async def tidy(self) -> str:
        """Put in order what the attempt left half done, and say what that was; a place that it took stays taken."""

    async def placed(self) -> Placed | None:
        """Return what the attempt has put into the place; None when it has not."""

    async def take_back(self, placed: Placed) -> None:
        """Take it out of the place again, and put back what was there; may be repeated. Raises Refused when that was
        not kept, StepFailed when something else has taken the place since."""


def beside(attempt: str) -> str:
    """Return the name of the database that an attempt loads: letters that every engine takes, and unique."""
    return f"pilotage_{_digest(attempt)}"


def before(name: str, attempt: str, most: int) -> str:
    """Return the name under which what was there is kept, at most so many bytes long."""
    ending = f"_before_{_digest(attempt)[:8]}"
    return name.encode()[: most - len(ending)].decode("utf-8", "ignore") + ending


def _digest(attempt: str) -> str:
    return hashlib.sha256(attempt.encode()).hexdigest()[:16]
