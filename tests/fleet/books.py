"""Reads what coordinator and agents have on disk, from copies, and compares: the invariants of TESTING.md.

Nobody who might be wrong is asked: only the files count.
"""

import json
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pilotage_agent.settled import run_of
from pilotage_coordinator.runtime.starts import OPERATION
from pilotage_proto.attempt import AttemptKey, AttemptKind, parse_attempt_key

from tests.fleet.fleet import ENDED, Fleet

BY_COORDINATOR = ("", "validation.assert", "gate.pause", "notify.send")
"""Types of which no agent knows: groups, and what the coordinator decides itself."""


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """An attempt as the coordinator has stored it."""

    key: AttemptKey
    epoch: int
    status: str
    effect: str
    step_type: str
    outcome: str
    digest: str
    ended: bool


@dataclass(frozen=True, slots=True)
class JournalBook:
    """A journal: what is open (with its result, if it has one), and the newest settled attempt of each run."""

    journal_id: str
    highest_epoch: int
    open: dict[AttemptKey, dict[str, Any]]
    settled: dict[bytes, tuple[int, str, bool]]


def copied(source: Path, folder: Path) -> Path:
    """Copy a database with its write-ahead log, and return the copy's path."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob(f"{source.name}*"):
        old.unlink()
    for file in source.parent.glob(f"{source.name}*"):
        shutil.copy(file, folder)
    return folder / source.name


def read_journal(fleet: Fleet, host: str) -> JournalBook:
    """Read a host's journal; its agent should be at rest, or the copy may be torn."""
    connection = sqlite3.connect(copied(fleet.state_of(host) / "journal.db", fleet.folder / "copies" / host))
    try:
        journal_id, epoch = connection.execute("SELECT journal_id, highest_epoch FROM head").fetchone()
        bodies = [json.loads(body) for (body,) in connection.execute("SELECT body FROM entries")]
        settled = connection.execute("SELECT run, attempt, outcome, began FROM settled").fetchall()
    finally:
        connection.close()
    opened = {_key(body["key"]): body for body in bodies}
    return JournalBook(
        journal_id, epoch, opened, {run: (attempt, outcome, bool(began)) for run, attempt, outcome, began in settled}
    )


def read_rows(fleet: Fleet, sql: str) -> list[tuple[Any, ...]]:
    """Ask a copy of the coordinator's database."""
    connection = sqlite3.connect(copied(fleet.state / "pilotage.db", fleet.folder / "copies" / "coordinator"))
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def read_attempts(fleet: Fleet) -> list[AttemptRow]:
    """Return every attempt that the coordinator has stored."""
    rows = read_rows(
        fleet,
        "SELECT execution, path, host, item, kind, attempt, epoch, status, effect, step_type, outcome, digest,"
        " ended_at IS NOT NULL FROM workflow_attempts",
    )
    return [
        AttemptRow(_key([*parts]), epoch, status, effect, type, outcome, digest, bool(ended))
        for *parts, epoch, status, effect, type, outcome, digest, ended in rows
    ]


def violations(fleet: Fleet) -> list[str]:
    """Return every invariant that the files break; empty when all is well."""
    return [*_attempts_agree(fleet), *_executions_are_whole(fleet), *_starts_are_audited(fleet)]


def _attempts_agree(fleet: Fleet) -> Iterator[str]:
    attempts = read_attempts(fleet)
    states = dict(read_rows(fleet, "SELECT id, status FROM workflow_executions"))
    journals = {
        host: read_journal(fleet, host) for host in fleet.hosts if (fleet.state_of(host) / "journal.db").exists()
    }
    newest: dict[bytes, int] = {}
    for row in attempts:
        newest[run_of(row.key)] = max(newest.get(run_of(row.key), 0), row.key.attempt)
    for row in attempts:
        if states[row.key.execution] in ENDED and not row.ended:
            yield f"{row.key} is open in an execution that has ended"
        if row.step_type in BY_COORDINATOR or row.key.host not in journals:
            continue
        journal = journals[row.key.host]
        entry = journal.open.get(row.key)
        settled = journal.settled.get(run_of(row.key))
        if row.outcome == "succeeded" and "probe" not in row.status:
            yield from _success_is_journaled(row, entry, settled, newest[run_of(row.key)])
        if row.epoch > journal.highest_epoch and row.outcome == "succeeded":
            yield f"{row.key} succeeded under epoch {row.epoch}, above what its agent ever saw"


def _success_is_journaled(
    row: AttemptRow, entry: dict[str, Any] | None, settled: tuple[int, str, bool] | None, newest: int
) -> Iterator[str]:
    if entry is not None:
        result = entry["result"]
        if result is None or result["outcome"] != "succeeded" or result["digest"] != row.digest:
            yield f"{row.key} is stored as succeeded, its journal has {entry['state']} {result}"
    elif settled is None:
        yield f"{row.key} is stored as succeeded, its journal never heard of it"
    elif row.key.attempt == newest and settled != (row.key.attempt, "succeeded", True):
        yield f"{row.key} is stored as succeeded, its journal settled {settled}"


def _executions_are_whole(fleet: Fleet) -> Iterator[str]:
    audited = {subject for (subject,) in read_rows(fleet, "SELECT subject FROM audit_log")}
    for id, sequence, counts in read_rows(fleet, "SELECT id, sequence, counts FROM workflow_executions"):
        if id not in audited:
            yield f"{id} was started and is not in the audit log"
        (found,) = read_rows(fleet, f"SELECT count(*), max(sequence) FROM workflow_events WHERE execution = '{id}'")
        if found != (sequence, sequence or None):
            yield f"{id} says {sequence} events, there are {found}"
        runs = read_rows(
            fleet, f"SELECT status, count(*) FROM workflow_step_runs WHERE execution = '{id}' GROUP BY status"
        )
        if dict(runs) != json.loads(counts):
            yield f"{id} counts {counts}, its rows are {dict(runs)}"


def _starts_are_audited(fleet: Fleet) -> Iterator[str]:
    """10: every attempt that was to begin, whatever became of it, is in a log that holds and is signed."""
    rows = read_rows(fleet, "SELECT sequence, at, principal, operation, subject, outcome, detail FROM audit_log")
    named: set[AttemptKey] = set()
    for *_, operation, subject, _outcome, detail in rows:
        if operation == OPERATION:
            named |= {parse_attempt_key(f"{subject}/{start}") for start in json.loads(detail)["starts"]}
    for row in read_attempts(fleet):
        if row.key not in named:
            yield f"{row.key} was to begin and is not in the audit log"
    for host in fleet.hosts:
        if (fleet.state_of(host) / "journal.db").exists():
            for key in read_journal(fleet, host).open.keys() - named:
                yield f"{key} is in the journal of {host} and not in the audit log"
    (head,) = read_rows(fleet, "SELECT max(sequence), hash FROM audit_log")
    signed = read_rows(fleet, "SELECT sequence, hash FROM audit_signed_head")
    if [head] != signed:
        yield f"the audit log ends at {head} and is signed at {signed}"


def _key(parts: list[Any]) -> AttemptKey:
    execution, path, host, item, kind, attempt = parts
    return AttemptKey(execution, path, host, item, AttemptKind(kind), attempt)
