"""Drift: nothing is planned on a host that has told of another plugin than the plan pins, unless it was accepted."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pilotage_coordinator.domain.plan import Plan
from pilotage_proto.v1 import fleet_pb2 as pb

from tests.simulation.machine import FIRST_VERSION, Machine
from tests.simulation.universe import Universe

ENDING = ("frame_halted", "rollout_ended")
GRACE = 3.0
"""Seconds within which what a host tells must count: one decision may be older than the news."""
EVENTS = "SELECT sequence, type, data FROM workflow_events WHERE execution = ? AND sequence > ? ORDER BY sequence"


@dataclass
class Told:
    """What plugin a host has told of in the session that was opened last, and since when it tells the same."""

    version: str
    since: float


@dataclass
class Drift:
    """Reads each event once it is committed. `rows` reads the coordinator's disk."""

    universe: Universe
    machines: Mapping[str, Machine]
    plans: Mapping[str, Plan]
    rows: Callable[..., list[tuple[Any, ...]]]
    _greetings: dict[tuple[str, int], str] = field(default_factory=dict)
    _told: dict[str, Told] = field(default_factory=dict)
    _read: dict[str, int] = field(default_factory=dict)
    _accepted: dict[str, set[str]] = field(default_factory=dict)
    """Execution to the versions that somebody was asked about."""
    _ending: set[str] = field(default_factory=set)
    """Executions in which something has failed: what still runs in one that ends is not held up for drift."""

    def greeted(self, host: str, stream: int, hello: pb.Hello) -> None:
        """An agent's greeting has arrived."""
        (type_,) = json.loads(hello.inventory.step_types)
        self._greetings[host, stream] = type_["version"]

    def welcomed(self, host: str, stream: int) -> None:
        """The coordinator opens the session of a greeting."""
        version = self._greetings[host, stream]
        if host not in self._told or self._told[host].version != version:
            self._told[host] = Told(version, self.universe.loop.time())

    def committed(self) -> None:
        """Look at the events that are new."""
        for execution, plan in self.plans.items():
            for sequence, type_, data in self.rows(EVENTS, execution, self._read.get(execution, 0)):
                self._read[execution] = sequence
                self._look(execution, plan, type_, data)

    def restored(self) -> None:
        """Begin anew: the coordinator's disk has become an older one, and hosts are heard again."""
        self._read.clear()
        self._told.clear()
        self._ending.clear()

    def _look(self, execution: str, plan: Plan, type_: str, text: str) -> None:
        body = {step.path for step in plan.steps}
        if type_ == "pause_asked":
            change = json.loads(text).get("change", "")
            if change:
                self._accepted.setdefault(execution, set()).add(change.rpartition(" to dummy ")[2].split(" ")[0])
        elif type_ == "execution_reopened":
            self._ending.discard(execution)
        elif type_ in ENDING or '"failed"' in text:
            self._ending.add(execution)
        elif type_ == "attempt_planned" and plan.host_ids and execution not in self._ending:
            data = json.loads(text)
            # An execution that ends is not held up for it: its `finally` steps run as they can.
            if data["kind"] == "run" and data["path"].split("/")[0] in body:
                self._planned(execution, data["path"], data["host"])

    def _planned(self, execution: str, path: str, host: str) -> None:
        told = self._told.get(host)
        if told is None or told.version in (FIRST_VERSION, *self._accepted.get(execution, ())):
            return
        since = self.universe.loop.time() - told.since
        if since > GRACE and self.machines[host].plugin == told.version and host not in self.universe.liars:
            self.universe.violate(
                f"drift: {execution[-1]}:{path}@{host} is planned, and the host has had plugin {told.version}"
                f" for {since:.0f} s"
            )
