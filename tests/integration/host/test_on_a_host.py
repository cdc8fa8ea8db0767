"""The step types that change a whole host, on one that is ours: a container that boots systemd."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pilotage_agent.install import UNIT
from pilotage_proto.v1 import fleet_pb2 as pb

from tests.integration.agent.coordinator import SmallCoordinator, assignment, attempt_key
from tests.integration.agent.systemd_host import REPOSITORY, Engine, SystemdHost, engine, program, why_not
from tests.integration.host.inside.conftest import MARK

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.skipif(bool(why_not()), reason=why_not())]

INSIDE = Path(__file__).with_name("inside")


@pytest.fixture(scope="module")
def docker() -> Iterator[Engine]:
    with engine() as made:
        yield made


@pytest.fixture(scope="module")
def host(docker: Engine) -> SystemdHost:
    host = docker.boot("steps")
    host.run("touch", str(MARK))
    return host


@pytest.mark.timeout(600)
@pytest.mark.parametrize("what", ["test_services.py", "test_packages.py"])
def test_everything_inside_passes(host: SystemdHost, what: str) -> None:
    done = run_inside(host, INSIDE / what)
    assert done.returncode == 0, done.stdout[-20_000:]
    assert " skipped" not in done.stdout.splitlines()[-1], done.stdout[-4000:]


@pytest.mark.timeout(300)
async def test_an_attempt_outlives_the_reboot_that_it_orders(docker: Engine, host: SystemdHost) -> None:
    """The real agent orders a real reboot; when it is back, it finds out by itself that the work is done."""
    coordinator = SmallCoordinator(docker.address)
    await coordinator.start()
    try:
        await asyncio.to_thread(host.run, program(), "join", coordinator.join_token(), "--name", "steps")
        await asyncio.to_thread(host.run, program(), "install")
        session = await coordinator.next_session()
        key = attempt_key(1)
        wanted = {"services": [UNIT], "kernel": os.uname().release}
        session.send(assignment=assignment(key, "host.reboot", pb.EFFECT_PROBE, wanted))
        await asyncio.to_thread(docker.docker, "wait", host.name)
        await asyncio.to_thread(docker.docker, "start", host.name)
        session = await coordinator.next_session(60)
        result = await session.result_of(key)
        assert result.outcome == pb.OUTCOME_SUCCEEDED, result
        assert json.loads(result.outputs)["rebooted"] is True
        session.send(result_ack=pb.ResultAck(key=key))
    finally:
        await coordinator.stop()


def run_inside(host: SystemdHost, what: Path) -> subprocess.CompletedProcess[str]:
    """Run pytest on the host, with our interpreter and our tree, which it sees read-only."""
    return host.run(
        "env", f"--chdir={REPOSITORY}", "PYTHONDONTWRITEBYTECODE=1", "LC_ALL=C.UTF-8", sys.executable, "-m", "pytest",
        "-q", "-x", "-p", "no:cacheprovider", f"--confcutdir={INSIDE}", str(what), check=False, seconds=500,
    )  # fmt: skip
