"""The demo's proofs, made without asking the coordinator to judge itself: journals, plain restic, byte comparison."""

import json
import os
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

COORDINATOR_TYPES = ("validation.assert", "")
"""Decided by the coordinator itself, or a group: no agent has them in its journal."""


def count_starts(fleet: Fleet, execution: str) -> Iterator[str]:
    """Yield a line for each host: how many step runs its journal has begun, each at its first and only attempt."""
    shown = fleet.json("run", "show", execution)
    types = dict(_types(fleet.json("blueprint", "show", shown["blueprint"])["steps"]))
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
    """Restore every host with plain restic and compare; yield a line for each."""
    for host in fleet.hosts:
        target = fleet.folder / "restored" / host
        data = fleet.data_of(host)
        for folder in ("files", "media"):
            snapshot = _newest(fleet, host, str(data / folder))
            _restic(fleet, host, "restore", snapshot, "--target", str(target))
            found = differences(data / folder, Path(f"{target}{data}/{folder}"))
            if found:
                raise FleetFailed(f"{host}: {folder} came back different:\n" + "\n".join(found[:10]))
        count = len(entries(data / "files")) + len(entries(data / "media"))
        yield f"{host}: {count} files and folders identical; {_check_database(fleet, host, target)}"


def _check_database(fleet: Fleet, host: str, target: Path) -> str:
    """Restore the database that was being written, and prove that it is a consistent moment of it."""
    for snapshot in _snapshots(fleet, host):
        name = snapshot["paths"][0]
        if name.endswith("app.db"):
            copy = target / "app.db"
            with copy.open("wb") as file:
                subprocess.run(
                    ["restic", "dump", snapshot["id"], name], env=_environment(fleet, host), stdout=file, check=True
                )
            return f"the database is whole and agrees with itself ({books_agree(copy)} entries)"
    raise FleetFailed(f"{host}: no backup of its database was found")


def _newest(fleet: Fleet, host: str, path: str) -> str:
    for snapshot in reversed(_snapshots(fleet, host)):
        if snapshot["paths"] == [path]:
            return str(snapshot["id"])
    raise FleetFailed(f"{host}: no backup of {path} was found")


def _snapshots(fleet: Fleet, host: str) -> list[Any]:
    return list(json.loads(_restic(fleet, host, "snapshots", "--json")))


def _restic(fleet: Fleet, host: str, *arguments: str) -> str:
    done = subprocess.run(
        ["restic", *arguments], env=_environment(fleet, host), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise FleetFailed(f"restic {arguments[0]} for {host} failed: {done.stderr.strip()}")
    return done.stdout


def _environment(fleet: Fleet, host: str) -> dict[str, str]:
    return {
        **os.environ,
        "RESTIC_REPOSITORY": f"{fleet.folder}/vault/{host}",
        "RESTIC_PASSWORD": f"a password for {host}",
        "RESTIC_CACHE_DIR": f"{fleet.folder}/cache",
    }


def restore_hint(fleet: Fleet) -> Iterator[str]:
    """Yield the commands that bring a host's data back when there is nothing but the repository."""
    host = fleet.hosts[0]
    yield f"export RESTIC_REPOSITORY={fleet.folder}/vault/{host}"
    yield f"export RESTIC_PASSWORD='a password for {host}'   # you keep it where you keep passwords"
    yield "restic snapshots"
    yield f"restic restore latest --path {fleet.data_of(host)}/files --target /somewhere"
