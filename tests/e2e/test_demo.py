"""`make demo` itself: the fleet backup through kill -9 of coordinator and agent, and every proof that it makes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.demo.__main__ import HOSTS
from tests.fleet.process import stop_left_behind

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


@pytest.mark.timeout(900)
def test_the_demo_proves_what_it_says(tmp_path: Path) -> None:
    if shutil.which("restic") is None:
        pytest.skip("restic is not installed on this machine: apt-get install restic")
    folder = tmp_path / "d"
    done = subprocess.run(
        [sys.executable, "-m", "tests.demo", "--folder", str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("*** kill -9 ") == 2
    for host in HOSTS:
        assert f"{host}: charged once, by process " in done.stdout
        assert f"{host}: 438 files and folders identical; the database agrees with itself" in done.stdout
    assert stop_left_behind(folder) == []


def test_what_an_earlier_demo_left_running_is_ended_and_nothing_else(tmp_path: Path) -> None:
    mine, other = tmp_path / "mine", tmp_path / "mine too"
    running = [
        subprocess.Popen(["sleep", "1000"], env={**os.environ, "PILOTAGE_STATE_DIR": f"{folder}/coordinator"})
        for folder in (mine, other)
    ]
    try:
        assert stop_left_behind(mine) == [running[0].pid]
        assert running[0].wait(10) != 0
        assert running[1].poll() is None
    finally:
        for each in running:
            each.kill()
            each.wait()
