"""A full disk under coordinator or agent while steps run: nothing lost, nothing twice, and on with it when there is space."""  # noqa: E501

from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from pilotage_coordinator.security.authority import SERVER_NAME

from tests.e2e.conftest import MakeFleet
from tests.e2e.test_faults import await_state, shown, start, starts
from tests.fleet.books import violations
from tests.fleet.fleet import ENDED, Fleet
from tests.fleet.small_disk import small_disk

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

MEBIBYTES = 48
TARGET = (("grpc.ssl_target_name_override", SERVER_NAME),)


def _joined(fleet: Fleet) -> Fleet:
    fleet.start_coordinator()
    fleet.join("one")
    fleet.await_online()
    return fleet


def health(fleet: Fleet) -> str:
    """Return what the coordinator tells monitors."""
    authority = (fleet.state / "authority.pem").read_bytes()
    credentials = grpc.ssl_channel_credentials(authority[authority.index(b"-----BEGIN CERTIFICATE") :])
    with grpc.secure_channel(fleet.environment["PILOTAGE_ENROL_LISTEN"], credentials, options=TARGET) as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10)
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))


def test_of_the_coordinator(make_fleet: MakeFleet, tmp_path: Path) -> None:
    fleet = make_fleet("one", start=False)
    with small_disk(fleet.state, MEBIBYTES) as disk:
        _joined(fleet)
        work = tmp_path / "work"
        work.mkdir()
        execution = start(fleet, work, sleep="1s")
        disk.fill()
        fleet.until("the step ended on its host", lambda: (work / "end").exists())
        fleet.until("the store said no", lambda: "full" in fleet.coordinator.output())
        assert shown(fleet, execution)["state"] == "running"
        refused = fleet.run("exec", "-l", "name=one", "--yes", "--", "true", check=False)
        assert refused.returncode not in (0, 2)
        assert "Traceback" not in refused.stderr
        assert fleet.coordinator.alive
        # No new session either: its marks cannot be kept. Monitors see it, and the agent's log is not flooded.
        assert health(fleet) == "NOT_SERVING"
        fleet.agents["one"].kill()
        fleet.agents["one"].start()
        fleet.until("the session was put off", lambda: fleet.coordinator.output().count("session.not_stored") >= 3)
        assert "Traceback" not in fleet.coordinator.output()
        assert fleet.agents["one"].output().count("cannot open a session now") == 1
        assert {each["state"] for each in fleet.list_hosts()} == {"offline"}
        disk.free()
        fleet.await_online()
        assert health(fleet) == "SERVING"
        assert await_state(fleet, execution, *ENDED)["state"] == "completed"
        assert starts(work) == 1
        assert fleet.run("exec", "-l", "name=one", "--yes", "--", "true").returncode == 0
        fleet.agents["one"].stop()
        fleet.coordinator.stop()
        assert violations(fleet) == []


def test_of_an_agent(make_fleet: MakeFleet, tmp_path: Path) -> None:
    fleet = make_fleet("one", start=False)
    with small_disk(fleet.state_of("one"), MEBIBYTES) as disk:
        _joined(fleet)
        first, second = tmp_path / "first", tmp_path / "second"
        first.mkdir()
        second.mkdir()
        running = start(fleet, first, sleep="1s")
        disk.fill()
        fleet.until("the step ended", lambda: (first / "end").exists())
        assert fleet.call(lambda client: client.healthy())
        assert shown(fleet, running)["state"] not in {"failed"}
        disk.free()
        if not fleet.agents["one"].alive:
            # An agent that cannot write its journal ends; its service manager starts it again.
            fleet.agents["one"].start()
        run = await_state(fleet, running, *ENDED, "needs_attention")
        assert run["state"] in {"completed", "needs_attention"}, run
        assert starts(first) == 1
        fleet.await_online()
        later = start(fleet, second)
        assert await_state(fleet, later, *ENDED)["state"] == "completed"
        fleet.agents["one"].stop()
        fleet.coordinator.stop()
        assert violations(fleet) == []
