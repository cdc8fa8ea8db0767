"""The demo's proofs, made without asking the coordinator to judge itself: journals, plain restic, byte comparison."""

import os
import shlex
import shutil
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pilotage_agent.settled import run_of
from pilotage_proto.attempt import AttemptKey, AttemptKind

from tests.demo.data import books_agree
from tests.demo.tree import differences, entries
from tests.fleet.fleet import Fleet, FleetFailed

FOLDERS = ("files", "media")
COORDINATOR_TYPES = ("validation.assert", "")
"""Decided by the coordinator itself, or a group: no agent has them in its journal."""


def count_starts(fleet: Fleet, execution: str) -> Iterator[str]:
    """Yield a line for each host: how many step runs its journal has begun, each at its first and only attempt."""
    shown = fleet.json("run", "show", execution)
    blueprint = fleet.json("blueprint", "show", shown["blueprint"])
    types = dict(_types([*blueprint["steps"], *blueprint["finally_steps"]]))
    counted: Counter[str] = Counter()
    for host in fleet.hosts:
        journal = _read_journal(fleet, host)
        for run in shown["runs"]:
            if run["host"] != host or not run["attempts"] or types[run["step"]] in COORDINATOR_TYPES:
                continue
            key = AttemptKey(execution, run["step"], host, run["item"], AttemptKind.RUN, run["attempts"])
            found = journal.get(run_of(key))
            if found is None:
                raise FleetFailed(f"the journal of {host} does not know {run['step']} [{run['item']}]")
            attempt, began = found
            if attempt != run["attempts"] or not began:
                raise FleetFailed(f"{run['step']} on {host}: the journal says attempt {attempt}, began {began}")
            counted[host] += 1
            if attempt != 1:
                raise FleetFailed(f"{run['step']} on {host} [{run['item']}] was started {attempt} times")
        yield f"{host}: {counted[host]} step runs, each started exactly once"


def _types(steps: list[Any], around: str = "") -> Iterator[tuple[str, str]]:
    for step in steps:
        yield around + step["id"], step["type"]
        yield from _types(step["steps"], f"{around}{step['id']}/")


def _read_journal(fleet: Fleet, host: str) -> dict[bytes, tuple[int, bool]]:
    """Read a copy of a journal: its agent keeps the original locked."""
    copy = fleet.folder / "journals" / host
    copy.mkdir(parents=True, exist_ok=True)
    for file in fleet.state_of(host).glob("journal.db*"):
        shutil.copy(file, copy)
    connection = sqlite3.connect(copy / "journal.db")
    try:
        rows = connection.execute("SELECT run, attempt, began FROM settled").fetchall()
    finally:
        connection.close()
    return {run: (attempt, bool(began)) for run, attempt, began in rows}


def check_restores(fleet: Fleet) -> Iterator[str]:
    """Restore every host with plain restic, by the very lines that people are told, and compare; yield a line each."""
    for host in fleet.hosts:
        target = fleet.folder / "restored" / host
        target.mkdir(parents=True)
        for line in restore_lines(fleet, host, target):
            _shell(fleet, host, line)
        data = fleet.data_of(host)
        count = 0
        for folder in FOLDERS:
            found = differences(data / folder, Path(f"{target}{data}/{folder}"))
            if found:
                raise FleetFailed(f"{host}: {folder} came back different:\n" + "\n".join(found[:10]))
            count += len(entries(data / folder))
        books = books_agree(target / "app.db")
        yield f"{host}: {count} files and folders identical; the database agrees with itself ({books} entries)"


def restore_lines(fleet: Fleet, host: str, target: Path) -> list[str]:
    """Return the shell lines that bring a host's newest backups back, with nothing but restic."""
    data, place = fleet.data_of(host), shlex.quote(str(target))
    lines = [f"restic restore latest --path {shlex.quote(f'{data}/{each}')} --target {place}" for each in FOLDERS]
    database = shlex.quote(f"{data}/app/app.db")
    return [*lines, f"restic dump latest --path {database} {database} > {place}/app.db"]


def restore_hint(fleet: Fleet) -> Iterator[str]:
    """Yield what to type when there is nothing but the repository and its password."""
    host = fleet.hosts[0]
    yield f"export RESTIC_REPOSITORY={shlex.quote(f'{fleet.folder}/vault/{host}')}"
    yield f"export RESTIC_PASSWORD='a password for {host}'   # keep it where you keep passwords, outside Pilotage too"
    yield "restic snapshots"
    yield from restore_lines(fleet, host, Path("/somewhere"))


def _shell(fleet: Fleet, host: str, line: str) -> None:
    environment = {
        **os.environ,
        "RESTIC_REPOSITORY": f"{fleet.folder}/vault/{host}",
        "RESTIC_PASSWORD": f"a password for {host}",
        "RESTIC_CACHE_DIR": f"{fleet.folder}/cache",
    }
    done = subprocess.run(["sh", "-c", line], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise FleetFailed(f"`{line}` for {host} failed: {done.stderr.strip()}")
