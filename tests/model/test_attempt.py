"""The protocol of one attempt, explored in every order of steps and faults by Spin (`attempt.pml`)."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

MODEL = Path(__file__).parent / "attempt.pml"

REMOVED_SAFEGUARDS = (
    "ACK_BEFORE_COMMIT",
    "FORGET_BEFORE_ACK",
    "IGNORE_NEW_JOURNAL",
    "NO_DEDUPE",
    "NO_EPOCH_FENCE",
    "NO_TOMBSTONE",
    "NO_WATERMARK",
    "RESTART_INTERRUPTED",
    "SEND_BEFORE_COMMIT",
    "START_BEFORE_JOURNAL",
)

missing = [program for program in ("spin", "gcc") if shutil.which(program) is None]
pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}"),
]


def explore(folder: Path, *removed: str) -> str:
    """Build the verifier of the model without the `removed` safeguards, run it, and return what it printed."""
    defines = [f"-D{name}" for name in removed]
    for command in (
        ["spin", *defines, "-a", str(MODEL)],
        ["gcc", "-O1", "-DSAFETY", "-DCOLLAPSE", "-o", "verify", "pan.c"],
        ["./verify", "-m200000"],
    ):
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout


def test_the_model_names_each_safeguard_that_is_removed_here() -> None:
    assert set(re.findall(r"#ifn?def ([A-Z_]+)", MODEL.read_text())) == set(REMOVED_SAFEGUARDS)


def test_the_whole_protocol_holds(tmp_path: Path) -> None:
    report = explore(tmp_path)
    assert "errors: 0" in report
    assert "max search depth too small" not in report


@pytest.mark.parametrize("safeguard", REMOVED_SAFEGUARDS)
def test_each_removed_safeguard_is_found(safeguard: str, tmp_path: Path) -> None:
    assert "errors: 0" not in explore(tmp_path, safeguard)
