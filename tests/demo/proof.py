"""The demo's proofs, made without asking the coordinator to judge itself: marks, journals, plain restic, bytes."""

import os
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pilotage_agent.settled import run_of
from pilotage_proto.attempt import AttemptKey, AttemptKind

from tests.demo.data import books_agree
from tests.demo.tree import differences, entries
from tests.fleet.books import read_journal
from tests.fleet.fleet import Fleet, FleetFailed

FOLDERS = ("files", "media")
COORDINATOR_TYPES = ("validation.assert", "")
"""Decided by the coordinator itself, or a group: no agent has them in its journal."""


def check_charges(fleet: Fleet, folder: Path) -> Iterator[str]:
    """Yield a line for each host: its account says one start and one end, by one and the same process."""
    for host in fleet.hosts:
        lines = (folder / host).read_text().splitlines()
        process = lines[0].rpartition(" ")[2] if lines else "none"
        if lines != [f"charged by process {process}", f"done by process {process}"]:
            raise FleetFailed(f"the step that must not be repeated left these marks on {host}: {lines}")
        yield f"{host}: charged once, by process {process}, which went on while others were killed"


def check_journals(fleet: Fleet, shown: Any, plan: Any) -> Iterator[str]:
    """Yield a line for each host: how many step runs its journal has begun, each at its first attempt and no other.

    The agents must be at rest: then nothing of the journals is only in memory.
    """
    types = dict(_types(plan["steps"] + plan["finally_steps"]))
    for host in fleet.hosts:
        book = read_journal(fleet, host)
        if book.open:
            raise FleetFailed(f"the journal of {host} still has open attempts: {sorted(map(str, book.open))}")
        expected = set()
        for run in shown["runs"]:
            if run["host"] != host or not run["attempts"] or types[run["step"]] in COORDINATOR_TYPES:
                continue
            name = f"{run['step']}[{run['item']}] on {host}"
            key = run_of(AttemptKey(shown["id"], run["step"], host, run["item"], AttemptKind.RUN, 1))
            expected.add(key)
            if book.settled.get(key) != (1, "succeeded", True):
                raise FleetFailed(f"the journal says of {name}: {book.settled.get(key, 'nothing')}")
            if run["attempts"] != 1:
                raise FleetFailed(f"{name} was started {run['attempts']} times")
        if book.settled.keys() != expected:
            raise FleetFailed(f"{host} ran {len(book.settled)} step runs, the coordinator knows of {len(expected)}")
        yield f"{host}: {len(expected)} step runs, each begun, ended well and settled at its first attempt"


def _types(steps: list[Any]) -> Iterator[tuple[str, str]]:
    for step in steps:
        yield step["path"], step["type"]
        yield from _types(step["steps"] + step["finally_steps"])


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
