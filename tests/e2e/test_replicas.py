"""The shipped replica_upgrade and compose_stack on a host with a real engine; six replicas under continuous load."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fleet.books import violations
from tests.fleet.fleet import Fleet
from tests.integration.docker.compose_site import docker_config, why_no_compose
from tests.integration.docker.engine_site import EngineSite, engine_site, why_not
from tests.integration.docker.images import APP, digest_of, make_images
from tests.integration.docker.load import Load, load

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

HOST = "shop1"
REPLICAS = tuple(f"shop-{number}" for number in range(1, 7))
SLOW = "/cgi-bin/slow"
QUICK = {"min_healthy_time": "200ms", "healthy_deadline": "60s"}
STACK = """
services:
  web: {image: "${APP}", stop_signal: SIGKILL, environment: {TOKEN: "${TOKEN}"}}
  queue: {image: "bb:base", command: [/bin/sleep, "1000"], stop_signal: SIGKILL}
"""


@pytest.fixture(scope="module")
def running() -> Iterator[EngineSite]:
    if reason := why_not():
        pytest.skip(f"no Docker Engine for tests here: {reason}")
    with engine_site() as site:
        make_images(site)
        site.docker("push", "-q", f"{APP}:sick")
        yield site


@pytest.fixture(scope="module")
def fleet(running: EngineSite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A coordinator and one host, whose processes live beside the engine."""
    with running.inside():
        fleet = Fleet(tmp_path_factory.mktemp("replicas"), (HOST,))
        fleet.environment["DOCKER_HOST"] = running.address
        fleet.environment["DOCKER_CONFIG"] = docker_config(tmp_path_factory.mktemp("docker"))
        try:
            fleet.start_coordinator()
            fleet.enrol(HOST)
            fleet.agents[HOST].start()
            fleet.await_online()
            yield fleet
            fleet.stop()
            assert violations(fleet) == []
        finally:
            fleet.stop()


@pytest.fixture
def shop(running: EngineSite, fleet: Fleet) -> Iterator[EngineSite]:
    """Six replicas of version 1 behind the alias `shop`, and a container to ask them from."""
    running.docker("network", "create", "--subnet", "172.31.7.0/24", "front")
    running.docker("run", "-d", "--name", "client", "--network", "front", "bb:base", "/bin/sleep", "1000")
    for name in REPLICAS:
        running.docker(
            "run", "-d", "--name", name, "--network", "front", "--network-alias", "shop", "--stop-signal", "SIGKILL",
            "--label", "app=shop", f"{APP}:1",
        )  # fmt: skip
    yield running
    running.remove_everything()


def run(fleet: Fleet, blueprint: str, exit_code: int, **parameters: Any) -> Any:
    """Run a blueprint to its end and return the execution."""
    arguments = ["run", "start", blueprint, "--yes"]
    for name, value in {"hosts": HOST, **QUICK, **parameters}.items():
        arguments += ["-p", f"{name}={value if isinstance(value, str) else json.dumps(value)}"]
    done = fleet.run("--json", *arguments, check=False)
    assert done.returncode == exit_code, f"{done.stdout[-3000:]}{done.stderr[-3000:]}"
    started = json.loads(done.stdout)
    return fleet.call(lambda client: client.show_run(started["id"]))


def upgrade(fleet: Fleet, exit_code: int, **parameters: Any) -> Any:
    """Run replica_upgrade with what all tests share."""
    shared = {"label": "app=shop", "image": f"{APP}:2", "drain": "3s", "at_once": 3}
    return run(fleet, "replica_upgrade", exit_code, **{**shared, **parameters})


def serving(site: EngineSite) -> set[tuple[str, bool]]:
    found = [site.inspect(name) for name in REPLICAS]
    return {(one["Config"]["Image"].rpartition(":")[2], one["State"]["Running"]) for one in found}


def few_lost(clients: Load) -> None:
    assert clients.total > 100
    assert len(clients.lost) < 0.01 * clients.total, clients.lost


def test_a_good_version_loses_no_request(fleet: Fleet, shop: EngineSite) -> None:
    with load(shop, "client", "shop", path=SLOW) as clients:
        measured = {"network": "front", "port": 8080, "measure_for": "1s", "slack_seconds": 5}
        execution = upgrade(fleet, 0, canaries=2, **measured)
    assert clients.lost == []
    assert clients.total > 100
    assert execution["outputs"] == {"canaries": list(REPLICAS[:2]), "rest": list(REPLICAS[2:])}
    digest = digest_of(shop, f"{APP}:2").rpartition(":")[2]
    assert serving(shop) == {(digest, True)}


@pytest.mark.parametrize("how", [{"image": f"{APP}:sick"}, {"test_command": ["/bin/false"]}], ids=["sick", "judged"])
def test_a_broken_version_stops_at_the_canary_and_goes(fleet: Fleet, shop: EngineSite, how: dict[str, Any]) -> None:
    before = {name: shop.inspect(name)["Id"] for name in REPLICAS}
    with load(shop, "client", "shop", path=SLOW) as clients:
        execution = upgrade(fleet, 1, **how)
    few_lost(clients)
    assert {name: shop.inspect(name)["Id"] for name in REPLICAS} == before
    assert all(runs for _, runs in serving(shop))
    upgraded = {(each["step"], each["item"]) for each in execution["runs"] if each["step"] in ("canary", "rest")}
    assert upgraded == {("canary", REPLICAS[0])}


def test_a_stack_is_deployed_upgraded_and_taken_back(fleet: Fleet, running: EngineSite, tmp_path: Path) -> None:
    if reason := why_no_compose(fleet.environment["DOCKER_CONFIG"]):
        pytest.skip(f"no docker compose for tests here: {reason}")
    fleet.run("secret", "set", "shop/token", "--any", input="canary-9152")
    folder = tmp_path / "stack"
    folder.mkdir()
    (folder / "compose.yaml").write_text(STACK)

    def deploy(version: str, exit_code: int) -> Any:
        env = {"APP": f"{APP}:{version}", "TOKEN": "secret://shop/token"}
        given = {"directory": str(folder), "env": env, "health": {"queue": {"none": True}}, "pull": "missing"}
        return run(fleet, "compose_stack", exit_code, **given)

    try:
        assert deploy("1", 0)["outputs"] == {"deployed_hosts": [HOST]}
        first = running.inspect("stack-web-1")
        assert "TOKEN=canary-9152" in first["Config"]["Env"]
        failed = deploy("sick", 1)
        (attempt,) = [each for each in failed["runs"] if each["step"] == "deploy/up"]
        assert "the service web is not well" in json.dumps(attempt)
        again = running.inspect("stack-web-1")
        assert (again["Image"], again["State"]["Running"]) == (first["Image"], True)
        assert deploy("2", 0)["outputs"] == {"deployed_hosts": [HOST]}
        assert running.inspect("stack-web-1")["Config"]["Image"] == f"{APP}:2"
    finally:
        running.remove_everything()
