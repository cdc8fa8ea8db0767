"""The works that write executions. What can be computed is computed before the transaction begins."""

import sqlite3
from collections.abc import Sequence
from itertools import pairwise

from pilotage_coordinator.store.database import Work
from pilotage_coordinator.store.errors import Conflict, NotFound, Refused
from pilotage_coordinator.store.records import AttemptUpdate, EventRecord, ExecutionChange, ExecutionCreation
from pilotage_coordinator.store.sqlite import execution_rows as rows
from pilotage_coordinator.store.sqlite.answers import put_answer
from pilotage_coordinator.store.sqlite.approvals import approval_rows, put_approvals, use_approvals
from pilotage_coordinator.store.sqlite.audit import append_audit
from pilotage_coordinator.store.sqlite.compliance import compliance_row
from pilotage_coordinator.store.sqlite.deliveries import notification_rows, put_deliveries
from pilotage_coordinator.store.sqlite.host_rows import proof_row
from pilotage_coordinator.store.sqlite.queries import Queries
from pilotage_coordinator.store.sqlite.schedules import take_step
from pilotage_coordinator.store.sqlite.secrets import put_secret


def creation(queries: Queries, new: ExecutionCreation) -> Work[None]:
    """Return the work that stores a new execution; raises Refused if its events do not begin at 1."""
    _check_sequence(new.execution.id, new.events)
    if new.events and new.events[0].sequence != 1:
        raise Refused(f"{new.execution.id}: its first event has sequence {new.events[0].sequence}, not 1")
    for secret in new.secrets:
        if not secret.name.startswith(f"execution/{new.execution.id}/"):
            raise Refused(f"{new.execution.id}: secret {secret.name} is not its own, so it would never be removed")
    execution = rows.creation_row(new)
    inputs = rows.inputs_row(new)
    events = rows.event_rows(new.execution.id, new.events)
    runs = rows.step_run_rows(new.execution.id, new.step_runs)
    checked = compliance_row(new.compliance) if new.compliance is not None else None

    def work(connection: sqlite3.Connection) -> None:
        if new.answer is not None:
            put_answer(connection, queries, new.answer, new.execution.created_at)
        if connection.execute(queries["plan_exists"], (new.execution.plan_digest,)).fetchone() is None:
            raise NotFound(f"{new.execution.id}: its plan {new.execution.plan_digest} is not stored: plan again")
        if connection.execute(queries["execution_by_id"], (new.execution.id,)).fetchone() is not None:
            raise Conflict(f"{new.execution.id} exists already")
        if new.schedule is not None:
            take_step(connection, queries, new.schedule)
        connection.execute(queries["execution_insert"], execution)
        connection.execute(queries["inputs_insert"], inputs)
        connection.executemany(queries["event_insert"], events)
        connection.executemany(queries["step_run_put"], runs)
        for secret in new.secrets:
            put_secret(connection, queries, secret)
        if checked is not None:
            connection.execute(queries["compliance_insert"], checked)
        append_audit(connection, queries, new.audit)

    return work


def advance(queries: Queries, change: ExecutionChange) -> Work[None]:
    """Return the work that stores a change; raises Refused for one that is not of one piece."""
    _check_sequence(change.execution, change.events)
    for key in (*(new.key for new in change.attempts), *(update.key for update in change.attempt_updates)):
        if key.execution != change.execution:
            raise Refused(f"{change.execution}: the change has an attempt of another execution: {key}")
    statement = queries["execution_advance" if change.events else "execution_advance_silently"]
    execution = rows.advance_row(change)
    events = rows.event_rows(change.execution, change.events)
    runs = rows.step_run_rows(change.execution, change.step_runs)
    attempts = rows.attempt_rows(change.attempts)
    updates = [(update, rows.attempt_update_row(update)) for update in change.attempt_updates]
    proofs = [proof_row(host, proof) for host, proof in change.proofs]
    notifications = notification_rows(change.notifications)
    asked = approval_rows(change.asked)

    def work(connection: sqlite3.Connection) -> None:
        if connection.execute(statement, execution).rowcount == 0:
            raise _why_not_advanced(connection, queries, change)
        if events:
            connection.executemany(queries["event_insert"], events)
        if runs:
            connection.executemany(queries["step_run_put"], runs)
        put_approvals(connection, queries, asked, change.approvals)
        use_approvals(connection, queries, change.execution, change.rests_on, change.at)
        if attempts:
            try:
                connection.executemany(queries["attempt_insert"], attempts)
            except sqlite3.IntegrityError as error:
                raise Conflict(f"{change.execution}: an attempt of the change has a row already ({error})") from error
        for update, row in updates:
            if connection.execute(queries["attempt_update"], row).rowcount == 0:
                raise _why_not_updated(connection, queries, update)
        connection.executemany(queries["proof_put"], proofs)
        put_deliveries(connection, queries, notifications, change.given_up)
        if change.audit:
            append_audit(connection, queries, change.audit)

    return work


def _check_sequence(execution: str, events: Sequence[EventRecord]) -> None:
    for earlier, later in pairwise(events):
        if later.sequence != earlier.sequence + 1:
            raise Refused(f"{execution}: event {later.sequence} follows event {earlier.sequence} in one change")


def _why_not_advanced(connection: sqlite3.Connection, queries: Queries, change: ExecutionChange) -> Conflict | NotFound:
    row = connection.execute(queries["execution_by_id"], (change.execution,)).fetchone()
    if row is None:
        return NotFound(f"there is no execution {change.execution}")
    found = rows.execution_record(row)
    if found.version != change.expected_version:
        return Conflict(
            f"{change.execution} is at version {found.version}, the change was decided on {change.expected_version}: "
            "read it again and decide again"
        )
    return Conflict(
        f"{change.execution}: its newest event is {found.sequence}, the change brings {change.events[0].sequence}"
    )


def _why_not_updated(connection: sqlite3.Connection, queries: Queries, update: AttemptUpdate) -> Conflict | NotFound:
    row = connection.execute(queries["attempt_by_key"], rows.key_row(update.key)).fetchone()
    if row is None:
        return NotFound(f"there is no attempt {update.key}")
    epoch, ended_at = row
    if ended_at is not None:
        return Conflict(f"attempt {update.key} has ended already")
    return Conflict(f"attempt {update.key} is of epoch {epoch}, the update is for epoch {update.expected_epoch}")
