"""The rules of the journal, pure: what an agent answers, given what it knows of an attempt.

Nothing here does anything. `attempts.py` carries the verdicts out; the simulation runs the same rules without
processes. The promises are SEMANTICS' (Steps; Agent journal; Cancel): a key is started at most once by this journal,
whatever is redelivered, cancelled or crashed in between.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from pilotage_proto.attempt import AttemptKey, AttemptKind

from pilotage_agent.messages import Assignment, Cancel, Effect, EntryState, FailureKind, Outcome, Result
from pilotage_agent.results import add_evidence, bounded, make_result
from pilotage_agent.settled import SettledRuns

_SAID: Final = 1_000
"""Characters that evidence keeps of a text, so that the whole of it is never too long to be told."""

_OVERTAKEN: Final = "an attempt of this step run with this number or a higher one came before it"
"""The same words whether that attempt is still open or was acknowledged meanwhile: one key has one answer."""


@dataclass(frozen=True, slots=True)
class WorkerIdentity:
    """A process that no other can be mistaken for: `start_time` is field 22 of /proc/PID/stat."""

    boot_id: str
    pid: int
    start_time: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One open attempt. `assignment` is kept while it is needed: until the start, and for a recovery or a probe
    afterwards.

    `started_at` is 0 before STARTED; `worker` is who was given the attempt. `recovers`: should it be interrupted, its
    step type puts in order what it left half done.
    """

    key: AttemptKey
    state: EntryState
    epoch: int
    effect: Effect
    step_type: str
    timeout_ms: int = 0
    started_at: int = 0
    worker: WorkerIdentity | None = None
    assignment: Assignment | None = field(default=None, repr=False)
    result: Result | None = None
    recovers: bool = False

    @property
    def starts_durably(self) -> bool:
        """Whether nothing of it may begin before its start would survive a power cut."""
        return self.effect.starts_once or self.recovers

    @property
    def outlives_its_start(self) -> bool:
        """Whether the assignment is wanted after the start."""
        return self.state is EntryState.STARTED and (self.effect is Effect.PROBE or self.recovers)


@dataclass(frozen=True, slots=True)
class Fences:
    """What an agent knows beside the entry itself. `newest` is the highest open attempt of the same step run."""

    highest_epoch: int
    settled: SettledRuns
    newest: int = 0


# --- verdicts ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Take:
    """A new attempt: journal it and drive it to its result."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Repeat:
    """Known and under way: say again how far it is. The entry has adopted the assignment's epoch, unless it is old."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Answer:
    """Report this result. `keep`: it is news, so it is journaled before it is reported."""

    result: Result
    keep: bool


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Accepted and not begun: it ends here with this result, journaled before it is reported."""

    result: Result


@dataclass(frozen=True, slots=True)
class Stop:
    """Running: ask the worker to stop; the result comes when it has."""

    key: AttemptKey
    reason: str


@dataclass(frozen=True, slots=True)
class Ignore:
    """Nothing may be done; `reason` goes to the log."""

    reason: str


def judge_assignment(entry: Entry | None, fences: Fences, message: Assignment, now: int) -> Take | Repeat | Answer:
    """Decide what an Assignment leads to. One below the fence starts nothing, but what is known of its attempt is told:
    its sender must never take what has begun for declined."""
    below = message.epoch < fences.highest_epoch
    if entry is not None:
        return _known_of(entry) if below else _judge_known(entry, message)
    if (result := _behind_a_fence(fences, message, now)) is not None:
        return Answer(result, keep=False)
    if below:
        # Answered, never kept: the fence is against this sender, and a newer one may send the same key again.
        return Answer(_declined(message, f"epoch {message.epoch} is below {fences.highest_epoch}", now), keep=False)
    return Take(_entry_of(message))


def judge_cancel(entry: Entry | None, fences: Fences, message: Cancel, now: int) -> Answer | Withdraw | Stop | Ignore:
    """Decide what a Cancel leads to. An unseen key gets a tombstone, so that a late Assignment is not started."""
    if message.epoch < fences.highest_epoch:
        return Ignore(f"cancel of {message.key} with epoch {message.epoch}, below {fences.highest_epoch}")
    if entry is None:
        if (result := _behind_a_fence(fences, message, now)) is not None:
            return Answer(result, keep=False)
        return Answer(cancelled_unbegun(message.key, message.epoch, message.reason, now), keep=True)
    match entry.state:
        case EntryState.EXITED:
            assert entry.result is not None
            return Answer(entry.result, keep=False)
        case EntryState.ACCEPTED:
            return Withdraw(cancelled_unbegun(entry.key, entry.epoch, message.reason, now))
        case EntryState.STARTED:
            return Stop(entry.key, message.reason)


def tombstone(message: Cancel, result: Result) -> Entry:
    """Return the entry that keeps a late Assignment of a cancelled, never seen key from being started."""
    return Entry(
        key=message.key,
        state=EntryState.EXITED,
        epoch=message.epoch,
        effect=Effect.ONCE,
        step_type="",
        result=result,
    )


def may_forget(entry: Entry | None) -> bool:
    """Whether a ResultAck lets the attempt be forgotten: only one that has ended."""
    return entry is not None and entry.state is EntryState.EXITED


# --- after a restart of the agent -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StillRunning:
    """The worker lives."""


@dataclass(frozen=True, slots=True)
class OutcomeFound:
    """The worker left a whole outcome file; `result` is what it says. `cut_off`: the step did not end by itself, but
    was killed, so it may have left things half done."""

    result: Result
    cut_off: bool = False


@dataclass(frozen=True, slots=True)
class WorkerGone:
    """No worker, no outcome. `begun` is what the attempt's folder shows; only trusted within the same boot."""

    begun: bool
    same_boot: bool
    cause: str


@dataclass(frozen=True, slots=True)
class Attach:
    """Go on watching the worker."""


@dataclass(frozen=True, slots=True)
class AskProbe:
    """Let the step type find out what became of the attempt. `evidence` is what a recovery before it has to say."""

    cause: str
    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Settle:
    """Journal this result and report it."""

    result: Result


@dataclass(frozen=True, slots=True)
class Recover:
    """Let the step type put in order what the attempt left half done, and then go on with `then`. `cause` says why the
    attempt is taken for cut off."""

    cause: str
    then: AskProbe | Settle


@dataclass(frozen=True, slots=True)
class Recovered:
    """What came of a recovery: what was put in order, or why it was not."""

    ok: bool
    text: str


Found = StillRunning | OutcomeFound | WorkerGone


def judge_restart(entry: Entry, found: Found, now: int) -> Attach | Recover | AskProbe | Settle:
    """Decide how a STARTED entry goes on after the agent came back."""
    match found:
        case StillRunning():
            return Attach()
        case OutcomeFound():
            return judge_outcome(entry, found, now)
        case WorkerGone(begun=False, same_boot=True, cause=cause):
            text = f"the attempt was never begun: {cause}"
            return Settle(
                make_result(
                    entry.key,
                    entry.epoch,
                    Outcome.DECLINED,
                    failure_kind=FailureKind.INFRASTRUCTURE,
                    error=text,
                    ended_at=now,
                )
            )
        case WorkerGone(cause=cause):
            return judge_lost(entry, cause, now)


def judge_outcome(entry: Entry, found: OutcomeFound, now: int) -> Recover | AskProbe | Settle:
    """Decide what an outcome leads to: one of a step that was cut off is told only when its host is in order."""
    settle = Settle(found.result)
    if not found.cut_off:
        return settle
    return _in_order_first(entry, found.result.error or f"it was {found.result.outcome}", settle, now)


def judge_lost(entry: Entry, cause: str, now: int) -> Recover | AskProbe | Settle:
    """Decide what a begun attempt whose worker vanished without an outcome leads to."""
    then: AskProbe | Settle = Settle(interrupted(entry, {"cause": cause}, now))
    if entry.effect is Effect.PROBE and entry.key.kind is AttemptKind.RUN and entry.assignment is not None:
        then = AskProbe(cause)
    return _in_order_first(entry, cause, then, now)


def judge_recovery(entry: Entry, verdict: Recover, recovered: Recovered, now: int) -> AskProbe | Settle:
    """Decide how an attempt goes on after its recovery. One that failed is the end of what is known: whatever else
    there is to say, the attempt is not called cancelled, failed, done or not done while its host may be out of order.
    """
    if not recovered.ok:
        return Settle(_out_of_order(entry, verdict.cause, recovered.text, now))
    evidence = {"recovery": "done", "recovery_evidence": bounded(recovered.text, _SAID)}
    match verdict.then:
        case AskProbe(cause):
            return AskProbe(cause, evidence)
        case Settle(result):
            return Settle(add_evidence(result, evidence))


def judge_probe(entry: Entry, asked: AskProbe, answer: Mapping[str, Any], now: int) -> Result:
    """Turn a probe's answer, `{"answer", "outputs", "evidence"}`, into the attempt's result."""
    found = str(answer.get("answer", "unknown"))
    evidence = {
        "cause": asked.cause,
        **asked.evidence,
        "probe": found,
        "probe_evidence": str(answer.get("evidence", "")),
    }
    if found != "done":
        return interrupted(entry, evidence, now)
    return make_result(
        entry.key,
        entry.epoch,
        Outcome.SUCCEEDED,
        outputs=answer.get("outputs") or {},
        started_at=entry.started_at,
        ended_at=now,
        evidence=evidence,
    )


def interrupted(entry: Entry, evidence: Mapping[str, Any], now: int) -> Result:
    """Make the result of an attempt that began and whose end nobody saw."""
    return make_result(
        entry.key,
        entry.epoch,
        Outcome.INTERRUPTED,
        failure_kind=FailureKind.INFRASTRUCTURE,
        error=f"interrupted: {evidence.get('cause', 'the end of the attempt is not known')}",
        started_at=entry.started_at,
        ended_at=now,
        evidence={**evidence, "journal": {"state": entry.state.value, "started_at": entry.started_at}},
    )


def _in_order_first(entry: Entry, cause: str, then: AskProbe | Settle, now: int) -> Recover | AskProbe | Settle:
    if not entry.recovers or entry.key.kind is not AttemptKind.RUN:
        return then
    if entry.assignment is None:
        return Settle(_out_of_order(entry, cause, "the attempt's parameters are not in the journal", now))
    return Recover(cause, then)


def _out_of_order(entry: Entry, cause: str, why: str, now: int) -> Result:
    cause, why = bounded(cause, _SAID), bounded(why, _SAID)
    evidence = {"cause": f"{cause}; and what it left half done could not be put in order: {why}"}
    return interrupted(entry, {**evidence, "recovery": "failed", "recovery_evidence": why}, now)


def cancelled_unbegun(key: AttemptKey, epoch: int, reason: str, now: int) -> Result:
    """Make the result of an attempt that was cancelled before it began."""
    text = f"cancelled before it began: {reason}" if reason else "cancelled before it began"
    return make_result(key, epoch, Outcome.CANCELLED, error=text, ended_at=now)


def _behind_a_fence(fences: Fences, message: Assignment | Cancel, now: int) -> Result | None:
    """Return what is said of a key that is not open here and will never be started; None when it may be new.

    Assignment and Cancel get the same answer, so that one key never has two truths. Where it cannot be shown that the
    attempt never began it is called interrupted: a person decides, nothing is repeated.
    """
    settled = fences.settled.find(message.key)
    if settled is not None and settled.attempt >= message.key.attempt:
        if settled.attempt == message.key.attempt and not settled.began:
            return _declined(message, f"this attempt was settled before ({settled.outcome}) and never began", now)
        known = {"settled_attempt": settled.attempt, "settled_outcome": settled.outcome.value}
        return _lost(message, {"cause": _OVERTAKEN, **known}, now)
    if fences.newest > message.key.attempt:
        return _lost(message, {"cause": _OVERTAKEN, "open_attempt": fences.newest}, now)
    if fences.settled.too_old(message.key):
        cause = "the execution is older than this agent's memory of what it has run; start a new execution"
        return _lost(message, {"cause": cause}, now)
    return None


def _judge_known(entry: Entry, message: Assignment) -> Take | Repeat | Answer:
    match entry.state:
        case EntryState.EXITED:
            assert entry.result is not None
            return Answer(replace(entry.result, epoch=message.epoch), keep=False)
        case EntryState.ACCEPTED if entry.assignment is None:
            return Take(_entry_of(message))
        case _:
            return Repeat(replace(entry, epoch=message.epoch))


def _known_of(entry: Entry) -> Repeat | Answer:
    """Return what a sender below the fence is told of an attempt: the truth, which adopts nothing of that sender."""
    return Repeat(entry) if entry.result is None else Answer(entry.result, keep=False)


def _entry_of(message: Assignment) -> Entry:
    return Entry(
        key=message.key,
        state=EntryState.ACCEPTED,
        epoch=message.epoch,
        effect=message.effect,
        step_type=message.step_type,
        timeout_ms=message.timeout_ms,
        assignment=message,
    )


def _declined(message: Assignment | Cancel, why: str, now: int) -> Result:
    return make_result(
        message.key,
        message.epoch,
        Outcome.DECLINED,
        failure_kind=FailureKind.INFRASTRUCTURE,
        error=f"not started: {why}",
        ended_at=now,
    )


def _lost(message: Assignment | Cancel, evidence: Mapping[str, Any], now: int) -> Result:
    return make_result(
        message.key,
        message.epoch,
        Outcome.INTERRUPTED,
        failure_kind=FailureKind.INFRASTRUCTURE,
        error=f"not started again: {evidence['cause']}",
        ended_at=now,
        evidence=evidence,
    )
