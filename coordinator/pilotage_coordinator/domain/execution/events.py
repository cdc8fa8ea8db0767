"""What has happened to an execution. State is the fold of these; each is one row of history.

An event holds everything that was evaluated to decide it (rendered parameters, items, reasons), so that folding never
evaluates an expression and a replay is exact. The time of an event stands beside it, not in it. Adding a field needs a
default; a field or type once stored is never given another meaning.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from pilotage_proto.attempt import AttemptKind

from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_coordinator.domain.execution.states import ExecutionStatus, PendingReason, StepRunStatus
from pilotage_coordinator.domain.fleet import Outcome
from pilotage_coordinator.domain.plan import FailureKind, Json

HaltCause: TypeAlias = Literal["stop", "rollback", "cancel", "deadline"]
"""Why nothing new starts any more in a part of the execution."""


@dataclass(frozen=True, slots=True)
class ExecutionBegun:
    """The first event of every execution."""

    seed: str
    requested_by: str
    request: Mapping[str, Json] = field(default_factory=dict)
    """Who asked, as a policy sees it, and what for (`domain.policy.request`); empty where that was not recorded."""


@dataclass(frozen=True, slots=True)
class ExecutionMoved:
    """The execution's status changed. With a terminal status: `outputs` of the blueprint and what stays open."""

    to: ExecutionStatus
    reason: str = ""
    outputs: Mapping[str, Json] = field(default_factory=dict)
    warnings: bool = False
    """Completed, though some runs failed or were not run."""


@dataclass(frozen=True, slots=True)
class PauseAsked:
    """From now on nothing new starts. `by` is empty when the engine paused by itself (drift)."""

    by: str
    reason: str
    change: str = ""
    """What has drifted, and is accepted by whoever resumes."""


@dataclass(frozen=True, slots=True)
class ResumeAsked:
    """What was held by a pause goes on."""

    by: str


@dataclass(frozen=True, slots=True)
class StepOpened:
    """A step's turn came: it goes over `hosts` (in rollout order). `dropped` hosts failed a dependency: not run."""

    path: str
    item: str
    hosts: tuple[str, ...]
    dropped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BatchOpened:
    """A rollout goes on to its batch `number` (from 1 for the second batch)."""

    path: str
    item: str
    number: int


@dataclass(frozen=True, slots=True)
class BatchHeld:
    """A batch is done and the next must wait: until a time (0: none) and for a gate (empty: none)."""

    path: str
    item: str
    until: int = 0
    gate: str = ""


@dataclass(frozen=True, slots=True)
class RolloutEnded:
    """A rollout starts no more hosts."""

    path: str
    item: str
    reason: str
    revert: Literal["", "yes", "no"] = ""
    """Whether what its hosts did is undone; empty: as the rollout says."""


@dataclass(frozen=True, slots=True)
class RefreshBegun:
    """Before its next batch, a rollout asks the hosts that have not begun for what their order depends on."""

    path: str
    item: str


@dataclass(frozen=True, slots=True)
class RefreshEnded:
    """They have answered; `error` tells what failed."""

    path: str
    item: str
    error: str = ""


@dataclass(frozen=True, slots=True)
class HostsOrdered:
    """The hosts of a rollout that have not begun, in their new order."""

    path: str
    item: str
    hosts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AnalysisBegun:
    """A batch is done and is being judged."""

    path: str
    item: str


@dataclass(frozen=True, slots=True)
class AnalysisEnded:
    """A batch was judged. `gate`: where a person decides, because the analysis could not. `stopped`: no verdict."""

    path: str
    item: str
    verdict: Literal["pass", "fail", "inconclusive", "stopped"]
    reason: str = ""
    gate: str = ""


@dataclass(frozen=True, slots=True)
class HealthProbed:
    """A round of a health gate is over. `since`: healthy since then (0: it is not). The next round is `next_at`."""

    path: str
    host: str
    item: str
    since: int
    next_at: int
    detail: str = ""


@dataclass(frozen=True, slots=True)
class HealthRoundOpened:
    """A health gate tries its checks once more."""

    path: str
    host: str
    item: str


@dataclass(frozen=True, slots=True)
class HealthRestarted:
    """A health gate's time begins anew, because nobody looked at the host for a while."""

    path: str
    host: str
    item: str


@dataclass(frozen=True, slots=True)
class HealthSettled:
    """A health gate has its answer."""

    path: str
    host: str
    item: str
    status: StepRunStatus
    detail: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class LoopOpened:
    """A step's `for_each` was resolved on a host: keys and values, in order."""

    path: str
    host: str
    items: tuple[tuple[str, Json], ...]


@dataclass(frozen=True, slots=True)
class FrameOpened:
    """A group begins on a host, or a called blueprint begins."""

    path: str
    host: str
    item: str
    arguments: Mapping[str, Json] = field(default_factory=dict)
    """Of a call: the parameters of the blueprint that are not the same for all its runs, or were not known before."""


@dataclass(frozen=True, slots=True)
class FrameHalted:
    """Nothing new starts inside; path, host and item are empty for the whole execution."""

    path: str
    host: str
    item: str
    cause: HaltCause
    reason: str
    by: str = ""


@dataclass(frozen=True, slots=True)
class FinallyBegun:
    """The execution's body (and its rollback) is over: the `finally` steps begin."""

    outcome: ExecutionStatus


@dataclass(frozen=True, slots=True)
class CallReturned:
    """A called blueprint has ended and its outputs were evaluated; `error` tells why they could not be."""

    path: str
    host: str
    item: str
    outputs: Mapping[str, Json] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True, slots=True)
class RunsSettled:
    """Runs that ended without an attempt on a host: skipped, not run, refused, or decided by the coordinator."""

    runs: tuple[RunKey, ...]
    status: StepRunStatus
    reason: str = ""
    failure_kind: FailureKind | None = None
    outputs: Mapping[str, Json] = field(default_factory=dict)
    attempt: int = 0
    """For a step decided on the coordinator: which try this was."""
    retry_at: int = 0
    """When a failed try on the coordinator is made again; 0 = never."""


@dataclass(frozen=True, slots=True)
class RunHeld:
    """A run whose turn has come must wait. `until`: when it ends waiting by failing; 0 = no bound."""

    path: str
    host: str
    item: str
    reason: PendingReason
    until: int = 0
    kind: AttemptKind = AttemptKind.RUN


@dataclass(frozen=True, slots=True)
class GateOpened:
    """A run waits until the named gate is released."""

    name: str
    path: str
    host: str
    item: str
    prompt: str = ""


@dataclass(frozen=True, slots=True)
class GateAnswered:
    """A named gate was released or denied."""

    name: str
    by: str
    outcome: Literal["approved", "denied"]
    comment: str = ""


@dataclass(frozen=True, slots=True)
class ApprovalAsked:
    """People are asked to approve what stands behind a gate. `requesters` may not. Its row is `request`."""

    name: str
    request: str
    scope: Literal["execution", "step", "batch", "run"]
    path: str
    host: str
    item: str
    gate: Mapping[str, Json]
    """The gate in its JSON form."""
    prompt: str = ""
    requesters: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ApprovalAwaited:
    """The same step waits for the same answer in another place: on another host of the group around it."""

    name: str
    path: str
    host: str
    item: str


@dataclass(frozen=True, slots=True)
class ApprovalEscalated:
    """It is later: a request also asks others, those whom its first `escalations` name."""

    name: str
    request: str
    escalations: int
    of: tuple[str, ...]
    """Who may answer now."""


@dataclass(frozen=True, slots=True)
class ApprovalVoted:
    """A person answered a request."""

    name: str
    request: str
    by: str
    answer: Literal["approve", "reject"]
    stands_on: str
    voice: str = ""
    comment: str = ""
    key: str = ""
    proof: str = ""
    alone: bool = False
    dropped: tuple[str, ...] = ()
    """Persons whose earlier votes count no more."""


@dataclass(frozen=True, slots=True)
class ApprovalEnded:
    """A request has its outcome."""

    name: str
    request: str
    outcome: Literal["approved", "denied", "expired", "cancelled"]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class NotificationQueued:
    """A step hands a message over for delivery; the step's end follows in the same decision."""

    path: str
    host: str
    item: str
    notification: str
    channel: str
    message: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class NotificationGivenUp:
    """A message could not be delivered and is not tried again by itself. It changes no step: that only queued it."""

    notification: str
    channel: str
    attempts: int
    error: str


@dataclass(frozen=True, slots=True)
class AttemptPlanned:
    """The intent to make one attempt: committed before it is sent."""

    path: str
    host: str
    item: str
    kind: AttemptKind
    attempt: int
    parameters: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AttemptBegun:
    """The agent said that the attempt runs."""

    path: str
    host: str
    item: str
    kind: AttemptKind
    attempt: int
    started_at: int


@dataclass(frozen=True, slots=True)
class AttemptFinished:
    """An attempt ended, and what that makes of its run (`becomes`; pending = another attempt at `retry_at`)."""

    path: str
    host: str
    item: str
    kind: AttemptKind
    attempt: int
    outcome: Outcome
    becomes: StepRunStatus
    outputs: Mapping[str, Json] = field(default_factory=dict)
    failure_kind: FailureKind | None = None
    error: str = ""
    digest: str = ""
    started_at: int = 0
    ended_at: int = 0
    evidence: Mapping[str, Json] = field(default_factory=dict)
    retry_at: int = 0
    given_up: bool = False
    """Nobody waits for its answer any more: it only read, and its host is to stop it."""


@dataclass(frozen=True, slots=True)
class CancelSent:
    """Running attempts are to be stopped."""

    runs: tuple[RunKey, ...]
    reason: str
    expired: bool = False
    """Their step's deadline has passed."""


@dataclass(frozen=True, slots=True)
class UnknownSettled:
    """A person decided what became of an unknown run."""

    path: str
    host: str
    item: str
    as_: Literal["succeeded", "failed", "retry"]
    by: str
    comment: str = ""


@dataclass(frozen=True, slots=True)
class RollbackBegun:
    """Compensation begins: of the whole execution (`path` empty), or of a rollout's hosts.

    `actions`: the blueprint's own actions stand in for each step's undo. `unmet`: a condition that forbids it.
    """

    reason: str
    by: str = ""
    path: str = ""
    item: str = ""
    hosts: tuple[str, ...] = ()
    actions: bool = False
    unmet: str = ""


@dataclass(frozen=True, slots=True)
class UndoOpened:
    """The undo steps of a run begin."""

    path: str
    host: str
    item: str


@dataclass(frozen=True, slots=True)
class CompensationSettled:
    """Runs whose compensation ended without an attempt on a host."""

    runs: tuple[RunKey, ...]
    status: StepRunStatus
    reason: str


@dataclass(frozen=True, slots=True)
class ExecutionReopened:
    """Ended work is taken up again: what failed (`step` empty), or a step and what depends on it."""

    by: str
    step: str = ""


Event: TypeAlias = (
    ExecutionBegun
    | ExecutionMoved
    | PauseAsked
    | ResumeAsked
    | StepOpened
    | BatchOpened
    | BatchHeld
    | RolloutEnded
    | RefreshBegun
    | RefreshEnded
    | HostsOrdered
    | AnalysisBegun
    | AnalysisEnded
    | HealthProbed
    | HealthRoundOpened
    | HealthRestarted
    | HealthSettled
    | LoopOpened
    | FrameOpened
    | FrameHalted
    | FinallyBegun
    | CallReturned
    | RunsSettled
    | RunHeld
    | GateOpened
    | GateAnswered
    | ApprovalAsked
    | ApprovalAwaited
    | ApprovalEscalated
    | ApprovalVoted
    | ApprovalEnded
    | NotificationQueued
    | NotificationGivenUp
    | AttemptPlanned
    | AttemptBegun
    | AttemptFinished
    | CancelSent
    | UnknownSettled
    | RollbackBegun
    | UndoOpened
    | CompensationSettled
    | ExecutionReopened
)
