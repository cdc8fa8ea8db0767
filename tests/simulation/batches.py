"""Rollouts whose batches are judged: no host of a later batch begins before the earlier ones were found good.

How many hosts may have begun follows from the plan's batches and from the good verdicts that the events tell; what a
verdict is worth follows from the steps that gave it. The engine's own count of batches is not believed.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pilotage_coordinator.domain.plan import Plan, PlannedStep


@dataclass
class Judged:
    """How far a step with an analysis is."""

    step: PlannedStep
    total: int = 0
    begun: set[str] = field(default_factory=set)
    undone: set[str] = field(default_factory=set)
    """Hosts that were taken back since."""
    good: int = 0
    """Batches that were found good, by the analysis or by a person."""
    said: dict[str, str] = field(default_factory=dict)
    """What the steps of the analysis that is made just now have said."""
    doubt: str = ""
    """The gate at which a person decides."""

    def limit(self) -> int:
        """Return how many hosts may have begun."""
        batches = self.step.rollout.batches
        if not batches:
            return self.total
        sizes = [batches[min(number, len(batches) - 1)].size.of(self.total) for number in range(self.good + 1)]
        return sum(max(1, size) for size in sizes)


class Batches:
    """Follows the rollouts of an execution's outermost steps. `violate` is called with what is wrong."""

    def __init__(self, execution: str, plan: Plan, violate: Callable[[str], None]) -> None:
        self._execution = execution
        self._violate = violate
        steps = [*plan.steps, *plan.finally_]
        self._judged = {step.path: Judged(step) for step in steps if step.rollout.analysis}

    def follow(self, type_: str, data: Mapping[str, Any], at: int) -> None:
        """Read an event."""
        if type_ == "execution_reopened":
            # Hosts that have begun and batches that were found good stay so, and a rollout goes on behind them; what
            # was taken back stands again where it was before.
            for known in self._judged.values():
                known.said, known.doubt = {}, ""
                known.begun -= known.undone
                known.undone.clear()
        elif type_ == "gate_answered":
            self._answered(data)
        elif "path" in data and (judged := self._judged.get(str(data["path"]).split("/")[0])) is not None:
            self._read(judged, type_, data)
        elif type_ == "runs_settled":
            for path, *_ in (_key(run) for run in data["runs"]):
                if (judged := self._judged.get(path.split("/")[0])) is not None:
                    _say(judged, path, str(data["status"]))

    def _read(self, judged: Judged, type_: str, data: Mapping[str, Any]) -> None:
        path = str(data["path"])
        if type_ == "step_opened" and path == judged.step.path:
            judged.total = len(data["hosts"])
        elif type_ == "analysis_begun":
            judged.said = {}
        elif type_ == "analysis_ended":
            self._judged_as(judged, str(data["verdict"]), str(data.get("gate", "")))
        elif type_ == "attempt_finished" and data["becomes"] != "pending":
            if data["becomes"] == "compensated":
                judged.undone.add(str(data.get("host", "")))
            verdict = data.get("outputs", {}).get("verdict", "pass")
            _say(judged, path, str(data["becomes"]) if data["becomes"] != "succeeded" else f"succeeded {verdict}")
        elif type_ == "unknown_settled" and data["as_"] != "retry":
            _say(judged, path, str(data["as_"]))
        elif type_ == "attempt_planned" and data["kind"] == "run" and _inside(path, judged):
            self._begins(judged, str(data.get("host", "")))

    def _begins(self, judged: Judged, host: str) -> None:
        judged.begun.add(host)
        if len(judged.begun) > judged.limit():
            self._wrong(judged, f"begins on {host}, its host {len(judged.begun)}, after {judged.good} good batches")

    def _judged_as(self, judged: Judged, verdict: str, gate: str) -> None:
        judged.doubt = gate
        if verdict != "pass":
            return
        judged.good += 1
        steps = [step.path for step in judged.step.rollout.analysis]
        bad = [f"{path}: {judged.said.get(path)}" for path in steps if not _good(judged.said.get(path, ""))]
        if bad:
            self._wrong(judged, f"is judged good, though {bad[0]}")

    def _answered(self, data: Mapping[str, Any]) -> None:
        for judged in self._judged.values():
            if judged.doubt and judged.doubt == data["name"]:
                judged.doubt = ""
                judged.good += data["outcome"] == "approved"

    def _wrong(self, judged: Judged, what: str) -> None:
        self._violate(f"batch: {self._execution[-1]}:{judged.step.path} {what}")


def _inside(path: str, judged: Judged) -> bool:
    around = {step.path for step in (*judged.step.rollout.analysis, *judged.step.rollout.refresh)}
    return path not in around


def _say(judged: Judged, path: str, what: str) -> None:
    if path in {step.path for step in judged.step.rollout.analysis}:
        judged.said[path] = what


def _good(said: str) -> bool:
    return said in ("succeeded", "succeeded pass", "skipped")


def _key(run: Any) -> Iterable[str]:
    return run.values() if isinstance(run, Mapping) else run
