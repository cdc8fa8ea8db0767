"""What this host does only with people's consent, and whether they gave it: the door before every such attempt.

It outlives sessions. Checking may take a while (signatures) and changes nothing; `Journal.begin_use` then counts the
attempt, in the transaction of its start.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import partial
from typing import Any, Final, Protocol

from pilotage_proto.attempt import AttemptKind
from pilotage_proto.canonical import canonical

from pilotage_agent.approval.errors import Unapproved
from pilotage_agent.approval.plan_slice import PlannedStep, Slice, check_step, find_step, read_slice
from pilotage_agent.approval.planned_values import check_parameters
from pilotage_agent.approval.quorum import HOUR, Checked, Pins, approved, too_old
from pilotage_agent.approval.use import Name, Order, digest_of_json
from pilotage_agent.messages import Assignment, Effect, SignedPlan

MOST_KEPT: Final = 32 * 1024 * 1024
"""Bytes of plans that are kept for what is still to come; beyond it those that came first are dropped."""
SIGNED_PLANS: Final = "signed_plans"
"""The fact that tells the coordinator what this host asks for."""
_OWN: Final = "effect"


@dataclass(frozen=True, slots=True)
class Demands:
    """What this host's settings ask for. `keys` gives the pinned keys; raises OSError or ValueError.

    `everything`: every step must be approved, not only the destructive ones. `unsigned`: patterns of step types that
    need no consent in any case. `run_time_values`: patterns `STEP.TYPE:PARAMETER` of what only run time need know.
    """

    keys: Callable[[], frozenset[str]]
    everything: bool = False
    quorum: int = 1
    most_hours: int = 168
    unsigned: tuple[str, ...] = ()
    run_time_values: tuple[str, ...] = ()

    def fact(self) -> Mapping[str, Any] | None:
        """Return what is told of it to the coordinator, so that people see it; None: this host asks for nothing."""
        try:
            count = len(self.keys())
        except (OSError, ValueError):
            count = 0
        if not count and not self.everything:
            return None
        return {
            "steps": "all" if self.everything else "destructive",
            "quorum": self.quorum,
            "approvers": count,
            "unsigned": list(self.unsigned),
        }

    def concern(self, step_type: str, known: Mapping[str, Any]) -> bool:
        """Whether a step of this type needs consent here. `known`: what this host itself knows of the type.

        One whose effect only its author knows may destroy as well as one that is destructive by its type.
        """
        if any(fnmatchcase(step_type, pattern) for pattern in self.unsigned):
            return False
        if self.everything:
            return True
        return bool(known.get("destructive") or known.get("author_effects")) and bool(self.keys())

    def free(self, step_type: str, name: str) -> bool:
        """Whether a parameter may be known at run time only."""
        return any(fnmatchcase(f"{step_type}:{name}", pattern) for pattern in self.run_time_values)


@dataclass(frozen=True, slots=True)
class Granted:
    """An attempt that may be made. `order` is None for what may be repeated at will: it only reads."""

    assignment: Assignment
    order: Order | None


class Consent(Protocol):
    """The door, as the attempts see it."""

    def see(self, plan: SignedPlan) -> None:
        """Keep what came of a plan, for the attempts to come."""

    async def check(self, assignment: Assignment) -> Granted:
        """Return the attempt as it may be made; raises Unapproved."""

    def forgets_until(self) -> int:
        """Return until when approvals were asked for (UTC µs) that do not count any more."""


class AskNobody:
    """A host that asks for no consent."""

    def see(self, plan: SignedPlan) -> None:
        """Nothing of it is wanted."""

    async def check(self, assignment: Assignment) -> Granted:
        return Granted(assignment, None)

    def forgets_until(self) -> int:
        return 0


@dataclass(slots=True)
class _Kept:
    plan: SignedPlan
    part: Slice | None = None
    checked: Checked = field(default_factory=Checked)
    seen: bool = False
    """Whether the signatures have been checked."""


class SignedConsent:
    """Consent by signatures. `known`: what this host knows of a step type; `floor`: see `Uses`; `now`: UTC µs."""

    def __init__(
        self,
        demands: Demands,
        host_id: str,
        known: Callable[[str], Mapping[str, Any]],
        floor: Callable[[], int],
        now: Callable[[], int],
    ) -> None:
        self._demands = demands
        self._host_id = host_id
        self._known = known
        self._floor = floor
        self._now = now
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    def see(self, plan: SignedPlan) -> None:
        """Keep a plan; what was kept of its execution before is replaced."""
        before = self._kept.pop(plan.execution, None)
        kept = _Kept(plan)
        if before is not None and _same_plan(before.plan, plan):
            kept = replace(before, plan=plan, seen=False)
        self._kept[plan.execution] = kept
        while len(self._kept) > 1 and sum(each.plan.size for each in self._kept.values()) > MOST_KEPT:
            self._kept.popitem(last=False)

    async def check(self, assignment: Assignment) -> Granted:
        """Check an attempt against what people have signed; raises Unapproved that begins with what is wanted here."""
        known = self._known(assignment.step_type)
        try:
            if not self._demands.concern(assignment.step_type, known):
                return Granted(assignment, None)
            return await self._checked(assignment, known)
        except (OSError, ValueError) as error:
            raise Unapproved(f"not started: the approvers of this host cannot be read: {error}") from error
        except Unapproved as refused:
            raise Unapproved(f"not started, as this host wants plans signed: {refused}") from None

    def forgets_until(self) -> int:
        """Return until when approvals were asked for that do not count any more."""
        return self._now() - self._demands.most_hours * HOUR - 1

    async def _checked(self, assignment: Assignment, known: Mapping[str, Any]) -> Granted:
        key, demands = assignment.key, self._demands
        kept = self._kept.get(key.execution)
        if kept is None:
            raise Unapproved(
                "the coordinator showed no signed plan: upgrade it if it is older than this agent, else start anew"
            )
        if kept.part is None:
            kept.part = read_slice(kept.plan)
        part = kept.part
        if part.host_id != self._host_id:
            raise Unapproved(f"the plan is about {part.host_id}, this host is {self._host_id}")
        step = find_step(part, key.path, assignment.planned_step)
        check_step(part, step, assignment, known)
        check_parameters(
            step, key.path, key.item, assignment.parameters, lambda name: demands.free(assignment.step_type, name)
        )
        pins = Pins(demands.keys(), demands.quorum, demands.most_hours)
        approvals = kept.plan.approvals
        now, floor = self._now(), self._floor()
        work = partial(
            approved,
            key.execution,
            part.plan_digest,
            approvals,
            step.guards,
            pins,
            kept.checked,
            lambda asked_at: too_old(asked_at, now, pins.most_hours, floor),
        )
        # The first time signatures are checked, which takes a while; afterwards they are known.
        by = work() if kept.seen else await asyncio.to_thread(work)
        kept.seen = True
        asked_at = min(each.asked_at for each in approvals if each.id(key.execution) in by)
        variables = canonical(part.variables)
        return Granted(
            replace(assignment, host_variables=variables),
            None if _may_be_repeated(assignment.key.kind, step, known) else _order(assignment, step, by, asked_at),
        )


def _may_be_repeated(kind: AttemptKind, step: PlannedStep, known: Mapping[str, Any]) -> bool:
    """Whether an attempt may be made again and again, as it only reads: by what was approved, of what its type allows.
    What only reads is never undone."""
    if kind is not AttemptKind.RUN:
        return False
    return step.effect == Effect.READ and Effect.READ in {known.get(_OWN), *(known.get("author_effects") or ())}


def _order(assignment: Assignment, step: PlannedStep, by: tuple[str, ...], asked_at: int) -> Order:
    key = assignment.key
    undo = key.kind is AttemptKind.UNDO
    return Order(
        name=Name(key.execution, key.path, key.item, key.kind, by if step.guards else ()),
        approvals=by,
        asked_at=asked_at,
        attempts=step.attempts,
        parameters=digest_of_json(assignment.parameters, "its parameters"),
        outputs=digest_of_json(assignment.outputs, "the outputs of what is to be undone") if undo else "",
    )


def _same_plan(one: SignedPlan, other: SignedPlan) -> bool:
    return (one.head, one.slice, one.slice_digests) == (other.head, other.slice, other.slice_digests)
