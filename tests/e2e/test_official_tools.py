"""Tools that are not ours speak to a running coordinator: curl, and the health protocol of gRPC."""

import json
import shutil
import ssl
import subprocess
from collections.abc import Iterator

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.fleet.fleet import Fleet

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A coordinator without hosts."""
    fleet = Fleet(tmp_path_factory.mktemp("tools"), ())
    try:
        fleet.start_coordinator()
        yield fleet
    finally:
        fleet.stop()


def curl(fleet: Fleet, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run curl against the unix socket."""
    if shutil.which("curl") is None:
        pytest.skip("NOT TESTED: curl is not installed")
    return subprocess.run(
        ["curl", "-sS", "--max-time", "10", "--unix-socket", str(fleet.socket), *arguments],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_curl_reads_json(fleet: Fleet) -> None:
    listed = curl(fleet, "http://pilotage/v1/blueprints")
    assert {"quick_backup", "fleet_backup_orchestration"} <= {each["id"] for each in json.loads(listed.stdout)["items"]}


def test_curl_gets_a_problem_for_nonsense(fleet: Fleet) -> None:
    for path, body in (("/v1/nothing", None), ("/v1/plans", "{not json"), ("/v1/plans", "[]")):
        data = () if body is None else ("-H", "content-type: application/json", "-d", body)
        answer = curl(fleet, "-w", "\n%{http_code} %{content_type}", f"http://pilotage{path}", *data)
        text, _, status = answer.stdout.rpartition("\n")
        assert status.startswith("4"), answer.stdout
        assert "problem+json" in status, answer.stdout
        assert json.loads(text)["title"]


def test_the_socket_is_its_owners_alone(fleet: Fleet) -> None:
    assert fleet.socket.stat().st_mode & 0o777 == 0o600


def test_the_health_protocol_says_serving(fleet: Fleet) -> None:
    address = fleet.environment["PILOTAGE_ENROL_LISTEN"]
    host, _, port = address.rpartition(":")
    # The certificate is pinned by join tokens, not by a public authority: take what the server shows.
    certificate = ssl.get_server_certificate((host, int(port)))
    with grpc.secure_channel(address, grpc.ssl_channel_credentials(certificate.encode())) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=10)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(grpc.RpcError) as refused:
            stub.Check(health_pb2.HealthCheckRequest(service="no.such.Service"), timeout=10)
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND
