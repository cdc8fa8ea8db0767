"""The step types that change a whole host, on one that is ours: a container that boots systemd."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.agent.systemd_host import Engine, SystemdHost, engine, why_not
from tests.integration.host.inside.conftest import MARK

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.skipif(bool(why_not()), reason=why_not())]

REPOSITORY = Path(__file__).resolve().parents[3]
INSIDE = Path(__file__).with_name("inside")


@pytest.fixture(scope="module")
def docker() -> Iterator[Engine]:
    with engine() as made:
        yield made


@pytest.fixture(scope="module")
def host(docker: Engine) -> SystemdHost:
    host = docker.boot("steps", REPOSITORY, Path(sys.base_prefix))
    host.run("touch", str(MARK))
    return host


@pytest.mark.timeout(600)
@pytest.mark.parametrize("what", ["test_services.py", "test_packages.py"])
def test_everything_inside_passes(host: SystemdHost, what: str) -> None:
    done = run_inside(host, INSIDE / what)
    assert done.returncode == 0, done.stdout[-20_000:]
    assert " skipped" not in done.stdout.splitlines()[-1], done.stdout[-4000:]


def run_inside(host: SystemdHost, what: Path) -> subprocess.CompletedProcess[str]:
    """Run pytest on the host, with our interpreter and our tree, which it sees read-only."""
    return host.run(
        "env", f"--chdir={REPOSITORY}", "PYTHONDONTWRITEBYTECODE=1", "LC_ALL=C.UTF-8", sys.executable, "-m", "pytest",
        "-q", "-x", "-p", "no:cacheprovider", f"--confcutdir={INSIDE}", str(what), check=False, seconds=500,
    )  # fmt: skip
