"""What an approval was used for on this host: each step once, and again only as the plan lets it. Pure.

An approval's id is made of its execution, so no second execution can use it; within the execution a step that was done
is not done again, one that failed as often as the plan says, and only what was done is undone.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from pilotage_proto.attempt import AttemptKind
from pilotage_proto.canonical import digest

from pilotage_agent.approval.errors import Unapproved
from pilotage_agent.messages import Outcome

_NOTHING: Final = digest({})
MOST_INTERRUPTIONS: Final = 10
"""How often a step may be begun again after it was cut off, beside the attempts that the plan lets fail."""
OPEN: Final = ""
"""What is said of an attempt that has not ended."""


class Name(NamedTuple):
    """What is counted: a step for an item, done or undone, by these approvals. Those are left out where no gate stands
    before the step, so that it is counted once in the execution, whatever approval it is shown."""

    execution: str
    path: str
    item: str
    kind: AttemptKind
    approvals: tuple[str, ...]

    @property
    def step(self) -> tuple[str, str, str, AttemptKind]:
        """Return what is done, whoever approved it."""
        return (self.execution, self.path, self.item, self.kind)


@dataclass(frozen=True, slots=True)
class Order:
    """An attempt that people have agreed to. `attempts`: how many of it may fail; `approvals`: what it rests on."""

    name: Name
    approvals: tuple[str, ...]
    asked_at: int
    """When the oldest of the approvals was asked for, UTC microseconds."""
    attempts: int
    parameters: str
    """Digest of the parameters."""
    outputs: str = ""
    """For an undo: digest of the outputs of what is undone, as the coordinator says."""


@dataclass(frozen=True, slots=True)
class Use:
    """What has become of it so far. `ended`: number of an attempt to how it ended (`OPEN`: it has begun)."""

    name: Name
    approvals: tuple[str, ...]
    asked_at: int
    parameters: str
    ended: Mapping[int, str] = field(default_factory=dict)
    outputs: str = ""
    """Digest of what its last attempt that ended gave; empty before, and where an older agent saw it fail."""

    @property
    def done(self) -> bool:
        """Return whether an attempt succeeded."""
        return Outcome.SUCCEEDED in self.ended.values()

    @property
    def open(self) -> bool:
        """Return whether an attempt has begun and not ended."""
        return OPEN in self.ended.values()


def begin(order: Order, number: int, use: Use | None, run: Use | None) -> Use:
    """Return the use with an attempt more. `run`: for an undo, the use of what it undoes. Raises Unapproved."""
    if order.name.kind is AttemptKind.UNDO:
        _check_undo(order, run)
    path = order.name.path
    ended = {} if use is None else use.ended
    if number in ended:
        raise Unapproved(f"attempt {number} of {path} was begun here before")
    if use is not None and use.done:
        raise Unapproved(f"{path} was done here already by this approval: what is to be done again is approved again")
    failed = sum(each not in (Outcome.INTERRUPTED, Outcome.DECLINED) for each in ended.values())
    allowed = order.attempts if order.name.kind is AttemptKind.RUN else MOST_INTERRUPTIONS
    if failed >= allowed or len(ended) - failed >= MOST_INTERRUPTIONS:
        raise Unapproved(
            f"{path} was tried {len(ended)} times by this approval, as often as the plan lets it: plan again"
        )
    return Use(order.name, order.approvals, order.asked_at, order.parameters, {**ended, number: OPEN})


def end(use: Use, number: int, outcome: Outcome, outputs: str, *, began: bool) -> Use:
    """Return the use with an attempt at its end; one that never began does not count."""
    ended = dict(use.ended)
    if began:
        ended[number] = outcome.value
    else:
        ended.pop(number, None)
    return replace(use, ended=ended, outputs=outputs if began else use.outputs)


def digest_of_json(data: bytes, what: str) -> str:
    """Return the digest of JSON in its canonical form; raises Unapproved for what is none."""
    try:
        return digest(json.loads(data or b"{}"))
    except (ValueError, RecursionError):
        raise Unapproved(f"{what} cannot be read") from None


def _check_undo(order: Order, run: Use | None) -> None:
    path = order.name.path
    if run is None or not run.ended:
        raise Unapproved(f"{path} was not done here by this approval, so there is nothing to undo")
    if run.parameters != order.parameters:
        raise Unapproved(f"{path} was done with other parameters than it would be undone with")
    if run.open:
        raise Unapproved(f"{path} is not at its end here, so it is not undone: wait until it has ended")
    # What failed or was cut off gave nothing, or what it found out on the way. Neither is for the coordinator to say.
    if order.outputs != run.outputs and (run.done or order.outputs != _NOTHING):
        raise Unapproved(f"what came as the outputs of {path} is not what it gave here")


def use_to_json(use: Use) -> str:
    """Return the stored form."""
    return json.dumps(
        [list(use.name), use.approvals, use.asked_at, use.parameters, list(use.ended.items()), use.outputs]
    )


def use_name(name: Name) -> str:
    """Return a name in one line."""
    return json.dumps(list(name))


def use_from_json(text: str) -> Use:
    """Read the stored form; raises ValueError for a text that is none."""
    try:
        (execution, path, item, kind, by), approvals, asked_at, parameters, ended, outputs = json.loads(text)
        name = Name(str(execution), str(path), str(item), AttemptKind(kind), tuple(map(str, by)))
        counts = {int(number): str(outcome) for number, outcome in ended}
        return Use(name, tuple(map(str, approvals)), int(asked_at), str(parameters), counts, str(outputs))
    except (TypeError, AttributeError) as error:
        raise ValueError(f"no record of what an approval was used for ({error})") from error
