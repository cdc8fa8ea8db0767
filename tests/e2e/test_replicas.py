"""The shipped replica_upgrade on a host with a real engine, six replicas under continuous load; compose_stack on two
hosts, each with an engine of its own."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fleet.books import violations
from tests.fleet.fleet import Fleet
from tests.integration.docker.compose_site import docker_config, why_no_compose
from tests.integration.docker.engine_site import EngineSite, engine_site, why_not
from tests.integration.docker.images import APP, digest_of, make_base, make_images
from tests.integration.docker.load import Load, load
from tests.integration.docker.shop import open_shop

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

HOST, OTHER = HOSTS = ("shop1", "shop2")
REPLICAS = tuple(f"shop-{number}" for number in range(1, 7))
SLOW = "/cgi-bin/slow"
QUICK = {"min_healthy_time": "200ms", "healthy_deadline": "60s"}
STACK = """
services:
  web: {image: "${APP}", stop_signal: SIGKILL, environment: {TOKEN: "${TOKEN}"}, ports: ["127.0.0.1:${PORT}:8080"]}
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
def elsewhere(running: EngineSite) -> Iterator[EngineSite]:
    """The engine of the second host, with a registry that has the same images."""
    with engine_site(registry=running.folder / "registry") as site:
        for image in (f"{APP}:1", f"{APP}:2"):
            site.docker("pull", "-q", image)
        make_base(site)
        yield site


@pytest.fixture(scope="module")
def fleet(running: EngineSite, elsewhere: EngineSite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A coordinator and two hosts, whose processes live beside the first one's engine."""
    with running.inside():
        fleet = Fleet(tmp_path_factory.mktemp("replicas"), HOSTS)
        fleet.environment["DOCKER_CONFIG"] = docker_config(tmp_path_factory.mktemp("docker"))
        try:
            fleet.start_coordinator()
            for host, engine in ((HOST, running), (OTHER, elsewhere)):
                fleet.enrol(host)
                fleet.agents[host].start({"DOCKER_HOST": engine.address})
            fleet.await_online()
            yield fleet
            fleet.stop()
            assert violations(fleet) == []
        finally:
            fleet.stop()


@pytest.fixture
def shop(running: EngineSite, fleet: Fleet) -> Iterator[EngineSite]:
    """Six replicas of version 1 behind the alias `shop`, and a container to ask them from."""
    with open_shop(running, REPLICAS, "--label", "app=shop") as site:
        yield site


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


def test_a_stack_is_deployed_upgraded_and_taken_back(
    fleet: Fleet, running: EngineSite, elsewhere: EngineSite, tmp_path: Path
) -> None:
    if reason := why_no_compose(fleet.environment["DOCKER_CONFIG"]):
        pytest.skip(f"no docker compose for tests here: {reason}")
    fleet.run("secret", "set", "shop/token", "--any", input="canary-9152")
    folder = tmp_path / "stack"
    folder.mkdir()
    (folder / "compose.yaml").write_text(STACK)

    def deploy(version: str, port: int, exit_code: int) -> Any:
        env = {"APP": f"{APP}:{version}", "TOKEN": "secret://shop/token", "PORT": str(port)}
        given = {"directory": str(folder), "env": env, "health": {"queue": {"none": True}}, "pull": "missing"}
        return run(fleet, "compose_stack", exit_code, hosts=list(HOSTS), **given)

    def stand() -> list[tuple[str, bool]]:
        found = [engine.inspect("stack-web-1") for engine in (running, elsewhere)]
        return [(one["Config"]["Image"], one["State"]["Running"]) for one in found]

    def states(execution: Any) -> dict[str, str]:
        return {each["host"]: each["state"] for each in execution["runs"] if each["step"] == "deploy/up"}

    try:
        assert deploy("1", 8071, 0)["outputs"] == {"deployed_hosts": list(HOSTS)}
        assert stand() == [(f"{APP}:1", True)] * 2
        assert "TOKEN=canary-9152" in running.inspect("stack-web-1")["Config"]["Env"]

        untouched = elsewhere.inspect("stack-web-1")["Id"]
        failed = deploy("sick", 8071, 1)
        assert states(failed)[HOST] == "failed"
        assert "the service web is not well" in json.dumps(failed)
        assert stand() == [(f"{APP}:1", True)] * 2
        assert elsewhere.inspect("stack-web-1")["Id"] == untouched

        # The second host cannot have it, so the first one, where all was well, goes back with it.
        elsewhere.docker("run", "-d", "--name", "other", "-p", "127.0.0.1:8072:8080", "bb:base")
        failed = deploy("2", 8072, 1)
        assert states(failed) == {HOST: "compensated", OTHER: "failed"}
        assert "a port is taken" in json.dumps(failed)
        assert stand() == [(f"{APP}:1", True)] * 2

        elsewhere.docker("rm", "-f", "other")
        assert deploy("2", 8072, 0)["outputs"] == {"deployed_hosts": list(HOSTS)}
        assert stand() == [(f"{APP}:2", True)] * 2
    finally:
        running.remove_everything()
        elsewhere.remove_everything()
