"""Health gates: none says healthy but after checks that were good for long enough, and each has an end in time."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pilotage_coordinator.domain.plan import Plan, PlannedStep, StepKind

SLACK = 60_000_000
"""Microseconds that a gate may take longer than it says: for restarts, and for a disk that refuses."""


@dataclass
class Open:
    """A gate on a host that has no answer yet."""

    since: int
    """When its time began."""
    good_since: int = 0
    """The end of the first good check after the last bad one; 0: there is none."""
    answered: set[str] = field(default_factory=set)
    """Checks that were good since then."""


class Gates:
    """Follows the health gates of an execution. `calm` is when all faults were over, UTC microseconds; 0: never."""

    def __init__(self, execution: str, plan: Plan, violate: Callable[[str], None], calm: int) -> None:
        self._execution = execution
        self._violate = violate
        self._calm = calm
        self._gates = {step.path: step for step in _all([*plan.steps, *plan.finally_]) if step.kind is StepKind.HEALTH}
        self._open: dict[tuple[str, str], Open] = {}
        self.healthy: set[tuple[str, str]] = set()
        """The group's path and the host, for each gate that succeeded last."""

    def follow(self, type_: str, data: Mapping[str, Any], at: int) -> None:
        """Read an event."""
        path = str(data.get("path", ""))
        gate = self._gates.get(path)
        if gate is not None:
            self._of_gate(gate, (path, str(data.get("host", ""))), type_, data, at)
        elif type_ == "attempt_finished" and self.may_give_up(path) and data["becomes"] != "pending":
            self._of_check(path, str(data["host"]), good=data["becomes"] == "succeeded", at=at)
        elif type_ == "unknown_settled" and self.may_give_up(path) and data["as_"] != "retry":
            # What a person says of a check counts as what the check would have said.
            self._of_check(path, str(data["host"]), good=data["as_"] == "succeeded", at=at)
        elif type_ == "execution_reopened":
            self._open.clear()
        elif type_ == "resume_asked":
            # Nobody looked at the hosts in the pause.
            self._open = {key: Open(at) for key in self._open}

    @property
    def groups(self) -> list[str]:
        """Return the paths of the groups that have a gate."""
        return [path.rpartition("/")[0] for path in self._gates]

    def may_give_up(self, path: str) -> bool:
        """Return whether a step is a check, for whose answer nobody waits when its gate's time is over."""
        return path.rpartition("/")[0] in self._gates

    def _of_gate(self, gate: PlannedStep, key: tuple[str, str], type_: str, data: Mapping[str, Any], at: int) -> None:
        if type_ == "frame_opened" or (type_ == "health_restarted" and key in self._open):
            self._open[key] = Open(at)
        elif type_ == "health_settled":
            self._settled(gate, key, str(data["status"]), at)

    def _of_check(self, path: str, host: str, *, good: bool, at: int) -> None:
        opened = self._open.get((path.rpartition("/")[0], host))
        if opened is None:
            return
        if good:
            opened.answered.add(path)
            opened.good_since = opened.good_since or at
        else:
            opened.answered.clear()
            opened.good_since = 0

    def _settled(self, gate: PlannedStep, key: tuple[str, str], status: str, at: int) -> None:
        path, host = key
        where = f"{self._execution[-1]}:{path}@{host}"
        opened = self._open.pop(key, None)
        group = (path.rpartition("/")[0], host)
        self.healthy.discard(group)
        assert gate.health is not None
        if opened is None:
            self._violate(f"health: {where} ends and was not open")
            return
        if status == "succeeded":
            self.healthy.add(group)
            missing = {step.path for step in gate.steps} - opened.answered
            if missing or not opened.good_since:
                self._violate(f"health: {where} succeeds, and {min(missing, default='no check')} did not")
            elif at - opened.good_since < gate.health.for_:
                self._violate(f"health: {where} succeeds after {(at - opened.good_since) / 1e6:.1f} s")
        began = max(opened.since, self._calm)
        if self._calm and at - began > gate.health.within + SLACK:
            self._violate(f"12: {where} took {(at - began) / 1e6:.0f} s to end")


def _all(steps: Iterable[PlannedStep]) -> Iterator[PlannedStep]:
    for step in steps:
        yield step
        yield from _all(step.steps)
