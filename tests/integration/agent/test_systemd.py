"""The agent as a systemd service on a host that boots: installed by its own command, restarted, and without power."""

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pilotage_agent.install import UNIT, unit_text
from pilotage_proto.v1 import fleet_pb2 as pb

from tests.integration.agent.coordinator import SmallCoordinator, SmallSession, assignment, attempt_key
from tests.integration.agent.systemd_host import Engine, SystemdHost, engine, program, why_not

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.skipif(bool(why_not()), reason=why_not())]


@pytest.fixture(scope="module")
def docker() -> Iterator[Engine]:
    with engine() as made:
        yield made


@pytest.mark.timeout(600)
async def test_a_service_survives_restarts_kills_and_power_loss(docker: Engine) -> None:
    coordinator = SmallCoordinator(docker.address)
    await coordinator.start()
    try:
        host = await asyncio.to_thread(docker.boot, "h1")
        await _on(host, program(), "join", coordinator.join_token(), "--name", "h1")
        await _on(host, program(), "install")
        session = await coordinator.next_session()
        assert (await _on(host, "systemctl", "is-active", UNIT)).strip() == "active"
        assert (await _on(host, "systemctl", "show", "-P", "NotifyAccess", UNIT)).strip() == "main"

        session = await _through(coordinator, host, session, 1, "systemctl", "restart", UNIT)
        session = await _through(
            coordinator, host, session, 2, "systemctl", "kill", "-s", "KILL", "--kill-whom=main", UNIT
        )

        key = attempt_key(3)
        session.send(assignment=assignment(key, "dummy.once", pb.EFFECT_ONCE, {"hang": True, "write": "/var/starts3"}))
        await session.wait_for("started")
        await asyncio.to_thread(host.lose_power)
        session = await coordinator.next_session(60)
        result = await session.result_of(key)
        assert result.outcome == pb.OUTCOME_INTERRUPTED
        assert len((await _on(host, "cat", "/var/starts3")).splitlines()) <= 1
        session.send(result_ack=pb.ResultAck(key=key))
        await _on(host, program(), "uninstall")
        assert (
            "could not be found" in (await asyncio.to_thread(host.run, "systemctl", "status", UNIT, check=False)).stderr
        )
    finally:
        await coordinator.stop()


async def _through(
    coordinator: SmallCoordinator, host: SystemdHost, session: SmallSession, number: int, *what: str
) -> SmallSession:
    """Let something happen to the service while a step runs; the step ends well, and started once."""
    key = attempt_key(number)
    parameters = {"sleep": "3s", "write": f"/var/starts{number}"}
    session.send(assignment=assignment(key, "dummy.once", pb.EFFECT_ONCE, parameters))
    await session.wait_for("started")
    await _on(host, *what)
    session = await coordinator.next_session(60)
    result = await session.result_of(key)
    assert result.outcome == pb.OUTCOME_SUCCEEDED, result
    assert len((await _on(host, "cat", f"/var/starts{number}")).splitlines()) == 1
    session.send(result_ack=pb.ResultAck(key=key))
    return session


async def _on(host: SystemdHost, *argv: str) -> str:
    done = await asyncio.to_thread(host.run, *argv)
    return str(done.stdout)


@pytest.mark.timeout(300)
async def test_systemd_starts_an_agent_again_that_is_stuck(docker: Engine) -> None:
    """A process that stands still answers no watchdog; whatever it ran is taken up again by its successor."""
    coordinator = SmallCoordinator(docker.address)
    await coordinator.start()
    try:
        host = await asyncio.to_thread(docker.boot, "stuck")
        await _on(host, program(), "join", coordinator.join_token(), "--name", "stuck")
        impatient = f"/etc/systemd/system/{UNIT}.d"
        await _on(host, "mkdir", impatient)
        await _on(host, "sh", "-c", f"printf '[Service]\nWatchdogSec=3\n' > {impatient}/watchdog.conf")
        await _on(host, program(), "install")
        session = await coordinator.next_session()
        await _through(coordinator, host, session, 4, "systemctl", "kill", "-s", "STOP", "--kill-whom=main", UNIT)
        assert (await _on(host, "systemctl", "show", "-P", "NRestarts", UNIT)).strip() == "1"
    finally:
        await coordinator.stop()


def test_the_unit_is_one_that_systemd_takes(docker: Engine, tmp_path: Path) -> None:
    unit = tmp_path / UNIT
    unit.write_text(unit_text("/bin/true", Path("/var/lib/pilotage agent"), None))
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
