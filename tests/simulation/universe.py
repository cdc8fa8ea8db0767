"""What all parts of a simulation share: time, chance, the trace, and what must never happen."""

import hashlib
import random
from collections.abc import Callable, Sequence
from typing import Any

from pilotage_agent.ledger import Entry
from pilotage_agent.messages import Result
from pilotage_proto.attempt import AttemptKey, AttemptKind
from pilotage_proto.v1 import fleet_pb2 as pb

from tests.simulation.loop import SimulatedLoop

BEGINNING = 1_700_000_000_000_000
"""The wall clock at the beginning of every simulation, UTC microseconds."""

_KINDS = {pb.ATTEMPT_KIND_RUN: AttemptKind.RUN, pb.ATTEMPT_KIND_UNDO: AttemptKind.UNDO}
_DULL = frozenset({"heartbeat", "ping"})


class Universe:
    """One simulated world. Everything that happens in it follows from its seed."""

    def __init__(self, seed: int, loop: SimulatedLoop) -> None:
        self.seed = seed
        self.loop = loop
        self.random = random.Random(seed)
        self.lines: list[tuple[float, str]] = []
        self.violations: list[str] = []
        self.over = False
        """What happens now is only the clearing away."""
        self.on_ack: Callable[[AttemptKey], None] = lambda key: None
        """Called when the coordinator sends an acknowledgement of a result."""
        self.on_journaled: Callable[[Entry], None] = lambda entry: None
        """Called for each entry that is durable in a journal."""
        self.on_report: Callable[[Result], None] = lambda result: None
        """Called when an agent sends how an attempt ended."""
        self.on_step_begun: Callable[[AttemptKey], None] = lambda key: None
        """Called when a step begins on a host."""
        self.on_hello: Callable[[str, int, pb.Hello], None] = lambda host, stream, hello: None
        """Called when an agent's greeting arrives on a stream."""
        self.on_welcome: Callable[[str, int], None] = lambda host, stream: None
        """Called when the coordinator opens a session on a stream."""
        self.on_commit: Callable[[], None] = lambda: None
        """Called when the coordinator has committed something."""
        self.liars: set[str] = set()
        """Hosts that have lied, and may be refused for it."""
        self.sent: set[AttemptKey] = set()
        """What was ever sent to a host."""
        self.epoch = 0
        """The epoch of the newest coordinator process."""
        self.process_is_dead: Callable[[str], bool] = lambda host: False
        self._hash = hashlib.blake2b(digest_size=16)
        self._moments: dict[str, list[tuple[int, Callable[[str], None]]]] = {}
        self._seen: dict[str, int] = {}

    def wall(self) -> int:
        """Return the true time, UTC microseconds."""
        return BEGINNING + round(self.loop.time() * 1_000_000)

    # The trace

    def trace(self, text: str) -> None:
        """Write down what happened."""
        now = self.loop.time()
        self.lines.append((now, text))
        self._hash.update(f"{now:.9f} {text}\n".encode())

    @property
    def digest(self) -> str:
        """Return the digest of all that has happened."""
        return self._hash.hexdigest()

    def violate(self, text: str) -> None:
        """Write down that a promise was broken."""
        if text not in self.violations and not self.over:
            self.violations.append(text)
            self.trace(f"VIOLATION {text}")

    def begin_epoch(self, epoch: int) -> None:
        """A coordinator process begins its epoch."""
        if epoch <= self.epoch:
            self.violate(f"7: a coordinator begins epoch {epoch} after {self.epoch}")
        self.epoch = epoch

    # Moments: what faults may wait for

    def await_moment(self, kind: str, count: int, fault: Callable[[str], None]) -> None:
        """Call `fault(host)` at the count-th moment of a kind from now on."""
        self._moments.setdefault(kind, []).append((self._seen.get(kind, 0) + count, fault))

    def moment(self, kind: str, host: str = "") -> None:
        """Something has just happened that a fault may have waited for."""
        seen = self._seen[kind] = self._seen.get(kind, 0) + 1
        waiting = self._moments.get(kind)
        if waiting:
            for entry in [each for each in waiting if each[0] == seen]:
                waiting.remove(entry)
                entry[1](host)

    def forget_moments(self) -> None:
        """No fault waits any more."""
        self._moments.clear()

    # What the network carries

    def delivered(self, name: str, message: Any) -> None:
        """A message has arrived."""
        words = []
        host = name.partition(".")[0]
        for item in message.items:
            kind = item.WhichOneof("item")
            if kind in _DULL:
                continue
            if kind == "hello":
                self.on_hello(host, int(name.split(".")[1].split()[0]), item.hello)
            words.append(f"{kind}{_about(getattr(item, kind))}")
            self.moment(f"{kind} delivered", host)
        if words:
            self.trace(f"{name}: {', '.join(words)}")

    def sending(self, host: str, stream: int, items: Sequence[pb.CoordinatorItem]) -> None:
        """The coordinator sends a message."""
        for item in items:
            kind = item.WhichOneof("item")
            if kind == "result_ack":
                self.on_ack(read_key(item.result_ack.key))
            elif kind == "assignment":
                self.sent.add(read_key(item.assignment.key))
            if kind == "assignment" and item.assignment.epoch != self.epoch:
                self.violate(f"7: {short(read_key(item.assignment.key))} is sent under epoch {item.assignment.epoch}")
            elif kind == "welcome":
                self.on_welcome(host, stream)
            elif kind == "refusal" and _in_earnest(item.refusal) and host not in self.liars:
                self.violate(f"refused: {host}, in earnest: {item.refusal.message}")


def read_key(key: pb.AttemptKey) -> AttemptKey:
    """Read a key of the wire."""
    return AttemptKey(key.execution, key.path, key.host, key.item, _KINDS[key.kind], key.attempt)


def short(key: AttemptKey) -> str:
    """Return a key as traces show it: `1:a/b@h1#x run 1`."""
    item = f"#{key.item}" if key.item else ""
    return f"{key.execution[-1]}:{key.path}@{key.host}{item} {key.kind} {key.attempt}"


def _in_earnest(refusal: pb.Refusal) -> bool:
    return not refusal.retry or refusal.reason == pb.REFUSAL_REASON_OLD_COORDINATOR


def _about(value: Any) -> str:
    match value:
        case pb.Result():
            return f"({short(read_key(value.key))} {pb.Outcome.Name(value.outcome)[8:].lower()} epoch {value.epoch})"
        case pb.Assignment() | pb.Cancel():
            return f"({short(read_key(value.key))} epoch {value.epoch})"
        case pb.Accepted() | pb.Started() | pb.ResultAck():
            return f"({short(read_key(value.key))})"
        case pb.Hello():
            return f"(session {value.session_counter}, journal {value.journal_id} at {value.journal_sequence})"
        case pb.JournalPage():
            states = (f"{short(read_key(e.key))} {pb.JournalState.Name(e.state)[14:].lower()}" for e in value.entries)
            return f"({'; '.join(states)})"
        case pb.Welcome():
            return f"(epoch {value.epoch})"
        case pb.Refusal():
            return f"({value.message})"
    return ""
