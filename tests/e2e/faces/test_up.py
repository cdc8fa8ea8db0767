"""`pilotage up` and `down` with real programs: a first command within one minute of nothing."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

BOUND = 100
"""Seconds that one command may take on a busy machine."""


class Machine:
    """The command line with a state folder of its own, and ports that nobody else has."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            **os.environ,
            "PILOTAGE_STATE_DIR": str(folder),
            "PILOTAGE_FLEET_LISTEN": "127.0.0.1:0",
            "PILOTAGE_ENROL_LISTEN": "127.0.0.1:0",
        }

    def pilotage(self, *arguments: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
        """Run one command to its end."""
        return subprocess.run(
            [sys.executable, "-m", "pilotage_coordinator.cli", *arguments],
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=BOUND,
            check=False,
        )

    def json(self, *arguments: str) -> Any:
        """Run one command that succeeds; return its answer."""
        done = self.pilotage("--json", *arguments)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path / "p")
    yield made
    made.pilotage("down")


@pytest.mark.timeout(400)
def test_up_runs_a_first_command_and_down_leaves_nothing(machine: Machine) -> None:
    first = machine.json("up")
    assert first["started"] == {"coordinator": True, "agent": True}
    host = first["host"]
    assert machine.json("up")["started"] == {"coordinator": False, "agent": False}
    assert [(each["name"], each["state"]) for each in machine.json("host", "list")] == [(host, "online")]

    done = machine.pilotage(
        "exec", "-l", f"name={host}", "--yes", "--", "printf", "%s\n", "${{ x }} {{ parameters.argv }}"
    )
    assert (done.returncode, done.stdout) == (0, f"{host} | ${{{{ x }}}} {{{{ parameters.argv }}}}\n"), done.stderr
    (run,) = machine.json("run", "list")
    assert (run["state"], run["blueprint"]) == ("completed", "command")
    assert machine.pilotage("run", "show", run["id"]).stdout.count("━") > 0
    assert machine.json("replay", run["id"])["execution"]["state"] == "completed"

    failed = machine.pilotage("exec", "-l", f"name={host}", "--yes", "--", "false")
    assert failed.returncode == 1
    assert machine.pilotage("exec", "-l", "name=nobody", "--yes", "--", "true").returncode == 1

    assert machine.pilotage("secret", "set", "restic/password", stdin="hunter2\n").returncode == 0
    said = machine.pilotage("secret", "grant", "restic/password", "--blueprint", "quick_backup", "--step", "backup.*")
    assert said.stdout.strip() == "1. step backup.*; blueprint quick_backup"
    assert machine.json("secret", "list")[0]["reference"] == "secret://restic/password"
    assert machine.folder.stat().st_mode & 0o077 == 0

    assert machine.json("down") == {"agent": "stopped", "coordinator": "stopped"}
    assert machine.pilotage("host", "list").returncode == 4
    assert not (machine.folder / "run" / "coordinator.sock").exists()
