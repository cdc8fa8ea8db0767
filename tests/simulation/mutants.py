"""The mutation list: safeguards of the protocol, each taken away by a small patch; the simulation must notice.

A patch replaces one function of the product. `Patches.replace` raises when the function is gone or has another name,
so that a mutant cannot lose its target unseen. `seed` is a history that found the mutant when it was last recorded
(`python -m tests.simulation --mutants` searches again); when the product has changed since, a bounded range of others
is tried, and one of them must break one of the invariants in `breaks`.
"""

import asyncio
import contextlib
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

from pilotage_agent import attempts as agent_attempts
from pilotage_agent import journal as agent_journal
from pilotage_agent import ledger
from pilotage_agent.errors import JournalUnwritable
from pilotage_agent.link import session as agent_session
from pilotage_agent.messages import EntryState
from pilotage_coordinator.domain.approval.request import Answered
from pilotage_coordinator.domain.execution import inputs
from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_coordinator.domain.execution.timers import TimerKind
from pilotage_coordinator.domain.fleet import AttemptReport
from pilotage_coordinator.domain.fleet import Outcome as Ended
from pilotage_coordinator.domain.plan import Effect
from pilotage_coordinator.engine import (
    approving,
    attempting,
    batching,
    decide,
    decision,
    draft,
    due,
    health,
    starting,
    verdict,
)
from pilotage_coordinator.fleet import admission, outbox, roster, store_registry
from pilotage_coordinator.runtime import asking, executor, listener, live, projection, sending, unread, witnesses
from pilotage_coordinator.store.errors import StoreError
from pilotage_coordinator.store.sqlite import group_commit, store

from tests.simulation.simulation import simulate

RANGE = 250
"""Seeds from 0 that are tried when the recorded one finds nothing any more."""


class Patches:
    """Replaces functions of the product until it is closed."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._stack = stack

    def replace(self, owner: Any, name: str, make: Callable[[Any], Any]) -> None:
        """Put what `make` returns, given the original, in the place of `owner.name`, which must be there."""
        original = getattr(owner, name)
        self._stack.enter_context(patch.object(owner, name, make(original)))

    def drop(self, owner: Any, name: str, value: Any = None) -> None:
        """Let a function do nothing and return `value`."""
        self.replace(owner, name, lambda _: lambda *_a, **_k: value)

    def skip(self, owner: Any, name: str) -> None:
        """Let a coroutine function do nothing."""

        async def nothing(*_a: Any, **_k: Any) -> None:
            return None

        self.replace(owner, name, lambda _: nothing)


@dataclass(frozen=True)
class Mutant:
    """A defect. `breaks`: the invariants, as violations begin, of which one must be seen broken."""

    name: str
    seed: int
    breaks: tuple[str, ...]
    apply: Callable[[Patches], None]
    restored: bool = False
    """It is looked for in histories in which the coordinator's disk is restored."""

    @contextlib.contextmanager
    def alive(self) -> Generator[None, None, None]:
        """Let the product have the defect."""
        with contextlib.ExitStack() as stack:
            self.apply(Patches(stack))
            yield

    def found(self, violations: tuple[str, ...]) -> bool:
        """Return whether a history noticed the defect by an invariant that it breaks."""
        return any(text.startswith(f"{number}:") for text in violations for number in self.breaks)


# --- approvals --------------------------------------------------------------------------------------------------------


def _nothing_rests_on_approvals(patches: Patches) -> None:
    """The second lock on the same door: without it, what the first lets through would be noticed at once."""
    patches.drop(asking, "rests_on", ())


def _steps_do_not_wait_for_their_approval(patches: Patches) -> None:
    patches.drop(approving, "held", (False, ""))
    _nothing_rests_on_approvals(patches)


def _everything_begins_unapproved(patches: Patches) -> None:
    patches.drop(approving, "may_begin", True)
    _nothing_rests_on_approvals(patches)


def _one_person_is_enough(patches: Patches) -> None:
    def make(original: Any) -> Any:
        def advance(request: Any, fact: Any, now: int) -> Any:
            return original(replace(request, gate=replace(request.gate, required=1)), fact, now)

        return advance

    patches.replace(approving, "advance", make)


def _another_plan_s_approval_counts(patches: Patches) -> None:
    def make(original: Any) -> Any:
        def advance(request: Any, fact: Any, now: int) -> Any:
            if isinstance(fact, Answered):
                fact = replace(fact, plan_digest=request.plan_digest)
            return original(request, fact, now)

        return advance

    patches.replace(approving, "advance", make)


# --- the agent's journal ----------------------------------------------------------------------------------------------


def _start_is_not_synced(patches: Patches) -> None:
    async def append(self: Any, entry: Any) -> None:
        self.note(entry)

    patches.replace(agent_journal.Journal, "append", lambda _: append)


def _start_goes_on_without_disk(patches: Patches) -> None:
    def make(original: Any) -> Any:
        async def append(self: Any, entry: Any) -> None:
            with contextlib.suppress(JournalUnwritable):
                await original(self, entry)

        return append

    patches.replace(agent_journal.Journal, "append", make)


def _end_is_reported_before_it_is_durable(patches: Patches) -> None:
    patches.drop(agent_journal.Journal, "is_durable", True)


def _tombstone_is_not_journaled(patches: Patches) -> None:
    def make(original: Any) -> Any:
        def judge(entry: Any, *more: Any) -> Any:
            found = original(entry, *more)
            return replace(found, keep=False) if isinstance(found, ledger.Answer) else found

        return judge

    patches.replace(agent_attempts, "judge_cancel", make)


def _withdrawal_is_not_journaled(patches: Patches) -> None:
    def make(original: Any) -> Any:
        def judge(entry: Any, *more: Any) -> Any:
            found = original(entry, *more)
            return ledger.Answer(found.result, keep=False) if isinstance(found, ledger.Withdraw) else found

        return judge

    patches.replace(agent_attempts, "judge_cancel", make)

    def report(original: Any) -> Any:
        async def at_once(self: Any, key: Any) -> None:
            entry = self._journal.find(key)
            if entry is not None and entry.state is EntryState.ACCEPTED:
                self._outbox.result(ledger.cancelled_unbegun(key, entry.epoch, "", 1))
            else:
                await original(self, key)

        return at_once

    patches.replace(agent_attempts.Attempts, "_report", report)


def _running_is_called_cancelled(patches: Patches) -> None:
    def make(original: Any) -> Any:
        def judge(entry: Any, fences: Any, message: Any, now: int) -> Any:
            found = original(entry, fences, message, now)
            if isinstance(found, ledger.Stop):
                return ledger.Withdraw(ledger.cancelled_unbegun(message.key, message.epoch, "", now))
            return found

        return judge

    patches.replace(agent_attempts, "judge_cancel", make)


def _redelivery_starts_again(patches: Patches) -> None:
    def make(original: Any) -> Any:
        def judge(entry: Any, fences: Any, message: Any, now: int) -> Any:
            return original(None, replace(fences, newest=0), message, now)

        return judge

    patches.replace(agent_attempts, "judge_assignment", make)


def _settled_attempts_are_forgotten(patches: Patches) -> None:
    patches.drop(ledger, "_behind_a_fence")


def _interrupted_is_called_not_begun(patches: Patches) -> None:
    def make(original: Any) -> Any:
        def judge(entry: Any, found: Any, now: int) -> Any:
            if isinstance(found, ledger.WorkerGone):
                found = replace(found, begun=False, same_boot=True)
            return original(entry, found, now)

        return judge

    patches.replace(agent_attempts, "judge_restart", make)


def _folder_is_believed_after_a_reboot(patches: Patches) -> None:
    def make(original: Any) -> Any:
        def judge(entry: Any, found: Any, now: int) -> Any:
            if isinstance(found, ledger.WorkerGone):
                found = replace(found, same_boot=True)
            return original(entry, found, now)

        return judge

    patches.replace(agent_attempts, "judge_restart", make)


def _probe_that_cannot_tell_means_done(patches: Patches) -> None:
    def make(original: Any) -> Any:
        return lambda entry, cause, answer, now: original(entry, cause, {**answer, "answer": "done"}, now)

    patches.replace(agent_attempts, "judge_probe", make)


def _resent_without_a_probe(patches: Patches) -> None:
    def make(original: Any) -> Any:
        def judge(entry: Any, cause: str, now: int) -> Any:
            evidence = {"cause": cause, "probe": "not_done"}
            return ledger.Settle(ledger.interrupted(entry, evidence, now))

        return judge

    patches.replace(agent_attempts, "judge_lost", make)
    patches.replace(ledger, "judge_lost", make)


def _interrupted_is_told_before_it_is_in_order(patches: Patches) -> None:
    patches.replace(ledger, "_in_order_first", lambda _: lambda entry, cause, then, now: then)


def _failed_recovery_is_taken_for_done(patches: Patches) -> None:
    def make(original: Any) -> Any:
        return lambda entry, verdict, recovered, now: original(entry, verdict, replace(recovered, ok=True), now)

    patches.replace(agent_attempts, "judge_recovery", make)


def _recovery_is_journaled_as_the_end(patches: Patches) -> None:
    def make(original: Any) -> Any:
        async def conclude(self: Any, entry: Any, verdict: Any) -> None:
            if isinstance(verdict, ledger.Recover):
                self._end(entry, ledger.interrupted(entry, {"cause": verdict.cause}, self._now()))
            await original(self, entry, verdict)

        return conclude

    patches.replace(agent_attempts.Attempts, "_conclude", make)


def _out_of_order_is_retried(patches: Patches) -> None:
    def make(original: Any) -> Any:
        def judge(execution: str, step: Any, run: Any, attempt: Any, report: AttemptReport, now: int) -> Any:
            told = {key: value for key, value in report.evidence.items() if key != "recovery"}
            return original(execution, step, run, attempt, replace(report, evidence=told), now)

        return judge

    patches.replace(verdict, "_interrupted", make)


def _forgotten_before_the_acknowledgement(patches: Patches) -> None:
    def make(original: Any) -> Any:
        async def report(self: Any, key: Any) -> None:
            await original(self, key)
            self._journal.forget(key)

        return report

    patches.replace(agent_attempts.Attempts, "_report", make)


def _running_attempts_are_not_taken_up_again(patches: Patches) -> None:
    patches.skip(agent_attempts.Attempts, "_resume")


def _results_are_told_once_only(patches: Patches) -> None:
    patches.drop(agent_attempts.Attempts, "report_unacknowledged")

    def make(original: Any) -> Any:
        return lambda entry, durable: replace(original(entry, durable=durable), state=EntryState.STARTED, result=None)

    patches.replace(agent_session, "line_of", make)


def _old_epochs_are_told_that_nothing_began(patches: Patches) -> None:
    def make(original: Any) -> Any:
        def judge(entry: Any, fences: Any, message: Any, now: int) -> Any:
            if message.epoch < fences.highest_epoch:
                return ledger.Answer(ledger._declined(message, "old", now), keep=False)
            return original(entry, fences, message, now)

        return judge

    patches.replace(agent_attempts, "judge_assignment", make)

    def assign(original: Any) -> Any:
        def told(self: Any, message: Any) -> None:
            if message.epoch < self._journal.highest_epoch:
                self._outbox.result(ledger._declined(message, "old", self._now()))
            else:
                original(self, message)

        return told

    patches.replace(agent_attempts.Attempts, "assign", assign)


# --- what the coordinator stores, and when ----------------------------------------------------------------------------


def _result_is_acknowledged_before_the_commit(patches: Patches) -> None:
    def make(original: Any) -> Any:
        async def result(self: Any, host: str, report: AttemptReport) -> bool:
            task = asyncio.ensure_future(original(self, host, report))
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
            return True

        return result

    patches.replace(listener.AgentListener, "result", make)


def _request_is_answered_before_the_commit(patches: Patches) -> None:
    def make(original: Any) -> Any:
        def submit(self: Any, *more: Any, **named: Any) -> Any:
            original(self, *more, **named).add_done_callback(lambda done: done.cancelled() or done.exception())
            answered = asyncio.get_running_loop().create_future()
            answered.set_result(None)
            return answered

        return submit

    patches.replace(live.LiveExecution, "submit", make)


def _sent_before_the_commit(patches: Patches) -> None:
    def make(original: Any) -> Any:
        async def commit(self: Any, after: Any, happened: Any, extra: Any) -> None:
            before, self.state = self.state, after
            await self.effects.after(self, happened.events)
            self.state = before
            await original(self, after, happened, extra)

        return commit

    patches.replace(live.LiveExecution, "_commit", make)


def _starts_are_not_audited(patches: Patches) -> None:
    patches.drop(projection, "starts", ())


def _restore_is_not_recorded(patches: Patches) -> None:
    patches.skip(witnesses.Witnesses, "record")


def _failed_write_is_taken_for_stored(patches: Patches) -> None:
    def make(original: Any) -> Any:
        async def write(self: Any, group: Any) -> None:
            try:
                results = await self._database.write([work for work, _ in group])
            except StoreError:
                results = [None] * len(group)
            for (_, future), result in zip(group, results, strict=True):
                if not future.done():
                    future.set_exception(result) if isinstance(result, Exception) else future.set_result(result)

        return write

    patches.replace(group_commit.GroupCommit, "_write", make)


def _write_in_doubt_is_taken_for_lost(patches: Patches) -> None:
    patches.skip(live.LiveExecution, "_settle_doubt")


def _attempt_numbers_are_not_compared(patches: Patches) -> None:
    def make(original: Any) -> Any:
        def find(draft: Any, key: Any) -> Any:
            run = RunKey(key.path, key.host, key.item)
            return run if run in draft.open else None

        return find

    patches.replace(decide, "_open_attempt", make)
    patches.drop(executor.Executor, "is_open", True)


def _epoch_is_not_raised(patches: Patches) -> None:
    def make(original: Any) -> Any:
        async def begin(self: Any, at_least: int = 0) -> int:
            begun: int = await original(self, at_least)
            return max(1, begun - 1)

        return begin

    patches.replace(store.SqliteStore, "begin_epoch", make)


# --- recovery and reconciliation --------------------------------------------------------------------------------------


def _what_cannot_be_read_is_forgotten(patches: Patches) -> None:
    patches.skip(unread.Unread, "put_off")


def _sessions_stay_when_an_execution_is_read_late(patches: Patches) -> None:
    patches.drop(executor.Executor, "_compare_again")


def _new_journal_is_not_noticed(patches: Patches) -> None:
    def make(original: Any) -> Any:
        def compare(*known: Any, journal_replaced: bool, now: int) -> Any:
            return original(*known, journal_replaced=False, now=now)

        return compare

    patches.replace(listener, "reconcile", make)


def _new_journal_is_remembered_too_early(patches: Patches) -> None:
    def make(original: Any) -> Any:
        async def host(self: Any, host_id: str) -> Any:
            found = await original(self, host_id)
            return None if found is None else replace(found, marks=admission.Marks())

        return host

    patches.replace(store_registry.StoreRegistry, "host", make)


def _ended_before_reconciliation(patches: Patches) -> None:
    def make(original: Any) -> Any:
        async def recover(self: Any, execution: Any) -> None:
            await original(self, execution)
            found = self._live.get(execution.id)
            for attempt in found.state.open.values() if found is not None else ():
                key = due.attempt_key(found.state, attempt)
                report = AttemptReport(key=key, epoch=self.epoch, outcome=Ended.INTERRUPTED, ended_at=1)
                self.later(found, inputs.AttemptEnded(report))

        return recover

    patches.replace(executor.Executor, "_recover", make)


def _open_attempts_are_not_sent_again(patches: Patches) -> None:
    patches.drop(sending, "due_on", due.Due())


def _old_attempts_are_not_fenced(patches: Patches) -> None:
    patches.skip(sending.Sending, "fence")


def _timers_are_lost_at_the_restart(patches: Patches) -> None:
    def make(original: Any) -> Any:
        async def load(self: Any, execution: str) -> Any:
            found = await original(self, execution)
            self._timers.set(execution, None)
            return found

        return load

    patches.replace(executor.Executor, "_load", make)


def _waiting_executions_are_not_told_of_the_host(patches: Patches) -> None:
    patches.replace(executor.Executor, "waiting_for", lambda _: lambda self, host: [])


def _sessions_do_not_wait_for_recovery(patches: Patches) -> None:
    def make(original: Any) -> Any:
        async def recover(self: Any) -> None:
            self.recovered.set()
            await original(self)

        return recover

    patches.replace(executor.Executor, "recover", make)


def _late_greeting_is_taken_for_a_copy(patches: Patches) -> None:
    async def has_ended(self: Any, transport: Any) -> bool:
        return False

    patches.replace(roster.Roster, "_has_ended", lambda _: has_ended)


def _restored_epochs_are_not_raised(patches: Patches) -> None:
    def make(original: Any) -> Any:
        async def begin(self: Any, at_least: int = 0) -> int:
            begun: int = await original(self)
            return begun

        return begin

    patches.replace(store.SqliteStore, "begin_epoch", make)


# --- flow -------------------------------------------------------------------------------------------------------------


def _credit_is_not_given_back(patches: Patches) -> None:
    patches.skip(sending.Sending, "refill")


def _slots_are_not_freed(patches: Patches) -> None:
    patches.drop(outbox.Outbox, "answered")


def _cancels_are_sent_once_only(patches: Patches) -> None:
    def make(original: Any) -> Any:
        return lambda *known: replace(original(*known), cancel=())

    patches.replace(sending, "due_on", make)


# --- the engine -------------------------------------------------------------------------------------------------------


def _interrupted_once_is_retried(patches: Patches) -> None:
    def make(original: Any) -> Any:
        def judge(execution: str, step: Any, *more: Any) -> Any:
            return original(execution, replace(step, effect=Effect.IDEMPOTENT), *more)

        return judge

    patches.replace(verdict, "_interrupted", make)


def _rollouts_ignore_max_failures(patches: Patches) -> None:
    def make(original: Any) -> Any:
        def start(decision_: Any, key: Any) -> None:
            fan = decision_.draft.fans.get(key)
            if fan is not None and fan.status is None:
                decision_.draft.put_fan(key, fan._replace(max_failures=-1, ended=""))
            original(decision_, key)

        return start

    patches.replace(starting, "start_hosts", make)


def _rollouts_ignore_their_window(patches: Patches) -> None:
    def make(original: Any) -> Any:
        def start(decision_: Any, key: Any) -> None:
            fan = decision_.draft.fans.get(key)
            if fan is not None and fan.status is None:
                decision_.draft.put_fan(key, fan._replace(max_parallel=0))
            original(decision_, key)

        return start

    patches.replace(starting, "start_hosts", make)


def _a_pause_stops_nothing(patches: Patches) -> None:
    patches.replace(decision.Decision, "starting", lambda _: property(lambda self: True))


def _drift_is_not_looked_at(patches: Patches) -> None:
    patches.drop(attempting, "_has_drifted", False)


def _inside_a_group_nobody_looks_whom_a_step_is_meant_for(patches: Patches) -> None:
    patches.drop(starting, "_unmeant", "")


def _batches_do_not_wait_for_their_analysis(patches: Patches) -> None:
    patches.drop(starting, "awaits_analysis", False)


def _a_doubtful_analysis_passes(patches: Patches) -> None:
    def make(original: Any) -> Any:
        def judge(*known: Any) -> Any:
            found, reason = original(*known)
            return ("pass" if found == "inconclusive" else found), reason

        return judge

    patches.replace(batching, "_verdict", make)


def _a_failed_analysis_passes(patches: Patches) -> None:
    patches.drop(batching, "_verdict", ("pass", ""))


def _one_good_round_is_health(patches: Patches) -> None:
    patches.replace(health, "_gate", lambda original: lambda *known: replace(original(*known), for_=0))


def _failed_checks_are_health(patches: Patches) -> None:
    patches.drop(health, "frame_status", health._S.SUCCEEDED)


def _health_gates_have_no_end(patches: Patches) -> None:
    def make(original: Any) -> Any:
        def set_timer(self: Any, kind: Any, key: Any, at: int) -> None:
            if kind is TimerKind.HEALTH_DEADLINE and at:
                at += 10**12
            if kind is not TimerKind.HEALTH:
                original(self, kind, key, at)

        return set_timer

    patches.replace(draft.Draft, "set_timer", make)


MUTANTS = (
    Mutant("steps run wherever their group is", 1, ("place",), _inside_a_group_nobody_looks_whom_a_step_is_meant_for),
    Mutant("a start is not synced", 0, ("1",), _start_is_not_synced),
    Mutant("a start goes on although the disk is full", 0, ("1",), _start_goes_on_without_disk),
    Mutant("an end is reported before it is durable", 0, ("2", "3"), _end_is_reported_before_it_is_durable),
    Mutant("a tombstone is not journaled", 19, ("3",), _tombstone_is_not_journaled),
    Mutant("a withdrawal is not journaled", 11, ("3",), _withdrawal_is_not_journaled),
    Mutant("what runs is called cancelled before it began", 1, ("3",), _running_is_called_cancelled),
    Mutant("a redelivered assignment starts again", 23, ("1",), _redelivery_starts_again),
    Mutant("settled attempts are forgotten", 6, ("1",), _settled_attempts_are_forgotten),
    Mutant("an interrupted attempt is called not begun", 23, ("3",), _interrupted_is_called_not_begun),
    Mutant("an attempt's folder is believed after a reboot", 48, ("3",), _folder_is_believed_after_a_reboot),
    Mutant("a probe that cannot tell means done", 8, ("2",), _probe_that_cannot_tell_means_done),
    Mutant("an unknown end is retried without a probe", 1, ("1",), _resent_without_a_probe),
    Mutant(
        "an interrupted attempt is told before it is in order",
        11,
        ("recovery",),
        _interrupted_is_told_before_it_is_in_order,
    ),
    Mutant("a failed recovery is taken for done", 69, ("recovery",), _failed_recovery_is_taken_for_done),
    Mutant("an end is journaled before the recovery", 69, ("recovery",), _recovery_is_journaled_as_the_end),
    Mutant("what is out of order is retried", 92, ("recovery", "1"), _out_of_order_is_retried),
    Mutant("an attempt is forgotten before its acknowledgement", 3, ("4", "12"), _forgotten_before_the_acknowledgement),
    Mutant("running attempts are not taken up again", 2, ("12",), _running_attempts_are_not_taken_up_again),
    Mutant("results are told once only", 0, ("12",), _results_are_told_once_only),
    Mutant("a result is acknowledged before its commit", 0, ("4",), _result_is_acknowledged_before_the_commit),
    Mutant("a request is answered before its commit", 0, ("4",), _request_is_answered_before_the_commit),
    Mutant("an assignment is sent before its commit", 5, ("10",), _sent_before_the_commit),
    Mutant("starts are not audited", 0, ("10",), _starts_are_not_audited),
    Mutant("a restore is not recorded", 2, ("witness", "12"), _restore_is_not_recorded, True),
    Mutant("a failed write is taken for stored", 2, ("4",), _failed_write_is_taken_for_stored),
    Mutant("a write in doubt is taken for lost", 189, ("4", "6", "12"), _write_in_doubt_is_taken_for_lost),
    Mutant("the numbers of attempts are not compared", 23, ("2", "3", "6"), _attempt_numbers_are_not_compared),
    Mutant("a coordinator does not raise its epoch", 0, ("7",), _epoch_is_not_raised),
    Mutant("a new journal is not noticed", 43, ("1",), _new_journal_is_not_noticed),
    Mutant("a new journal is remembered too early", 43, ("1",), _new_journal_is_remembered_too_early),
    Mutant("an execution that cannot be read is forgotten", 26, ("4", "12"), _what_cannot_be_read_is_forgotten),
    Mutant("what is read late is not compared", 57, ("1", "12"), _sessions_stay_when_an_execution_is_read_late),
    Mutant("attempts end before journals are read", 7, ("1", "4"), _ended_before_reconciliation),
    Mutant("open attempts are not sent again", 7, ("12",), _open_attempts_are_not_sent_again),
    Mutant("old attempts are not fenced", 7, ("7", "12"), _old_attempts_are_not_fenced),
    Mutant("timers are lost at the restart", 766, ("12",), _timers_are_lost_at_the_restart),
    Mutant("nobody hears of a host that comes back", 7, ("12",), _waiting_executions_are_not_told_of_the_host),
    Mutant("credit is not given back", 19, ("12",), _credit_is_not_given_back),
    Mutant("slots are not freed", 1, ("12",), _slots_are_not_freed),
    Mutant("a cancel is sent once only", 0, ("12",), _cancels_are_sent_once_only),
    Mutant("an interrupted `once` step is retried", 1, ("1",), _interrupted_once_is_retried),
    Mutant("rollouts ignore max_failures", 1, ("rollout",), _rollouts_ignore_max_failures),
    Mutant("rollouts ignore their window", 1, ("rollout",), _rollouts_ignore_their_window),
    Mutant("an old epoch is told that nothing began", 2, ("1", "3"), _old_epochs_are_told_that_nothing_began),
    Mutant("sessions do not wait for recovery", 15, ("1", "3", "7", "12"), _sessions_do_not_wait_for_recovery),
    Mutant("a late greeting is taken for a copied host", 73, ("refused",), _late_greeting_is_taken_for_a_copy),
    Mutant("a restored coordinator begins no higher epoch", 23, ("7", "12"), _restored_epochs_are_not_raised, True),
    Mutant("settled attempts are forgotten after a restore", 7, ("1",), _settled_attempts_are_forgotten, True),
    Mutant("steps do not wait for their approval", 0, ("5",), _steps_do_not_wait_for_their_approval),
    Mutant("nothing waits for the approval of everything", 5, ("5",), _everything_begins_unapproved),
    Mutant("one person is enough for any approval", 3, ("5",), _one_person_is_enough),
    Mutant("an approval of another plan counts", 162, ("5",), _another_plan_s_approval_counts),
    Mutant("a pause stops nothing", 2, ("pause",), _a_pause_stops_nothing),
    Mutant("drift is not looked at", 9, ("drift",), _drift_is_not_looked_at),
    Mutant("batches do not wait for their analysis", 6, ("batch",), _batches_do_not_wait_for_their_analysis),
    Mutant("a doubtful analysis passes", 9, ("batch",), _a_doubtful_analysis_passes),
    Mutant("a failed analysis passes", 0, ("batch",), _a_failed_analysis_passes),
    Mutant("one good round is health", 2, ("health",), _one_good_round_is_health),
    Mutant("failed checks are health", 2, ("health",), _failed_checks_are_health),
    Mutant("health gates have no end", 2, ("12",), _health_gates_have_no_end),
)


def search(mutant: Mutant, most: int = RANGE) -> int:
    """Return a seed that finds a mutant: the recorded one, or the first in the range; -1 for none."""
    seeds = [mutant.seed, *(seed for seed in range(most) if seed != mutant.seed)]
    for seed in seeds:
        with mutant.alive():
            violations = simulate(seed, restored=mutant.restored).violations
        if mutant.found(violations):
            return seed
    return -1
