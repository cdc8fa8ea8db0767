"""Messages that come twice, late or in another order, and hosts that repeat themselves or lie.

Below TLS nothing of this can happen to a stream, but a host is not trusted, and a sender may be mistaken: the rules
must hold for the messages themselves, whatever carried them.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pilotage_agent.link.wire import to_request
from pilotage_agent.messages import Accepted, AgentItem, JournalPage, Outcome, Result, Started
from pilotage_agent.results import make_result
from pilotage_coordinator.fleet.wire import write_message
from pilotage_proto.attempt import AttemptKey, AttemptKind
from pilotage_proto.v1 import fleet_pb2 as pb

from tests.simulation.loop import spread
from tests.simulation.universe import Universe

LOOSE = ("assignment", "cancel", "result_ack")
"""What a coordinator may say in any order, any number of times."""
REMEMBERED = 40
"""Messages of a host that it may repeat."""


@dataclass
class Mischief:
    """What happens to the messages of each host, besides the weather of the network."""

    universe: Universe
    unruly: set[str] = field(default_factory=set)
    """Hosts whose messages are doubled and mixed up just now."""
    _said: dict[str, deque[Accepted | Started | Result]] = field(default_factory=dict)
    _heard: dict[str, deque[pb.CoordinatorItem]] = field(default_factory=dict)
    """Assignments and cancels that hosts were sent."""

    def down(self, host: str, items: Sequence[pb.CoordinatorItem], push: Any) -> None:
        """Carry a message to an agent by `push`."""
        heard = self._heard.setdefault(host, deque(maxlen=REMEMBERED))
        heard.extend(item for item in items if item.WhichOneof("item") in ("assignment", "cancel"))
        if host not in self.unruly:
            push(write_message(items))
            return
        at_once = []
        for item in items:
            loose = item.WhichOneof("item") in LOOSE
            if not self._mishandled(loose, write_message([item]), push):
                at_once.append(item)
        if at_once:
            push(write_message(at_once))

    def up(self, host: str, items: Sequence[AgentItem], push: Any) -> None:
        """Carry a message to the coordinator by `push`."""
        said = self._said.setdefault(host, deque(maxlen=REMEMBERED))
        said.extend(item for item in items if isinstance(item, Accepted | Started | Result))
        if host not in self.unruly:
            push(to_request(items))
            return
        at_once = []
        for item in items:
            loose = isinstance(item, Accepted | Started | Result)
            if not self._mishandled(loose, to_request([item]), push):
                at_once.append(item)
        if at_once:
            push(to_request(at_once))

    def repeated(self, host: str) -> list[AgentItem]:
        """Return some of what a host has said before, in this session or an earlier one."""
        said = self._said.get(host, ())
        draw = self.universe.random
        return draw.sample(list(said), min(len(said), draw.choice([1, 2, 5])))

    def outdated(self, host: str) -> list[pb.CoordinatorItem]:
        """Return some of what a coordinator of an earlier epoch has told a host."""
        heard = [item for item in self._heard.get(host, ()) if _epoch(item) < self.universe.epoch]
        return heard[-self.universe.random.choice([1, 3, 10]) :]

    def lies(self, host: str, epoch: int) -> list[AgentItem]:
        """Return results of attempts that the coordinator has not made, or that are not this host's."""
        self.universe.liars.add(host)
        draw = self.universe.random
        known = [item.key for item in self._said.get(host, ())]
        lies: list[AgentItem] = [_claim(AttemptKey("exe_none", "s0", host, "", AttemptKind.RUN, 1), epoch)]
        if known:
            key = draw.choice(known)
            later = AttemptKey(key.execution, key.path, host, key.item, key.kind, key.attempt + draw.choice([5, 50]))
            elsewhere = AttemptKey(key.execution, key.path, "h0", key.item, key.kind, key.attempt)
            lies += [_claim(later, epoch), _claim(later, epoch + 7), Started(later, epoch, 1), _claim(elsewhere, epoch)]
        return draw.sample(lies, draw.randint(1, len(lies)))

    def _mishandled(self, loose: bool, message: Any, push: Any) -> bool:
        """Perhaps send a message later, instead of now or once more; says whether it is not to be sent now."""
        draw = self.universe.random
        if not loose or draw.random() < 0.5:
            return False
        self.universe.loop.later(spread(draw, 0.001, 20), push, message)
        return draw.random() < 0.4


def ends_the_greeting(items: Sequence[AgentItem]) -> bool:
    """Return whether an agent has now told its whole journal."""
    return any(isinstance(item, JournalPage) and item.complete for item in items)


def _epoch(item: pb.CoordinatorItem) -> int:
    return item.assignment.epoch if item.HasField("assignment") else item.cancel.epoch


def _claim(key: AttemptKey, epoch: int) -> Result:
    return make_result(key, epoch, Outcome.SUCCEEDED, outputs={"made": 1}, ended_at=1)
