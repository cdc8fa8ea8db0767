"""The shipped safe_container_upgrade on a real fleet and a real engine, under continuous load.

Six hosts share one engine, each with one replica of a web app behind one alias; agents and engine live in one network
namespace, as on a host.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.fleet.books import violations
from tests.fleet.fleet import ENDED, Fleet
from tests.integration.docker.engine_site import EngineSite, engine_site, why_not
from tests.integration.docker.images import APP, digest_of, make_images
from tests.integration.docker.load import Load, load
from tests.integration.docker.shop import open_shop

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

HOSTS = tuple(f"web{number}" for number in range(1, 7))
SLOW = "/cgi-bin/slow"
QUICK = {"min_healthy_time": "200ms", "healthy_deadline": "30s", "at_once": 2}


@pytest.fixture(scope="module")
def running() -> Iterator[EngineSite]:
    if reason := why_not():
        pytest.skip(f"no Docker Engine for tests here: {reason}")
    with engine_site() as site:
        make_images(site)
        yield site


@pytest.fixture(scope="module")
def fleet(running: EngineSite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A coordinator and six hosts, all of whose processes live beside the engine."""
    with running.inside():
        fleet = Fleet(tmp_path_factory.mktemp("upgrade"), HOSTS)
        fleet.environment["DOCKER_HOST"] = running.address
        try:
            fleet.start_coordinator()
            for host in HOSTS:
                fleet.enrol(host)
                fleet.agents[host].start()
            fleet.await_online()
            for host in HOSTS:
                fleet.run("host", "set", host, "--var", f"upgrade_container={host}", "--var", f"upgrade_image={APP}:2")
            yield fleet
            fleet.stop()
            assert violations(fleet) == []
        finally:
            fleet.stop()


@pytest.fixture
def shop(running: EngineSite, fleet: Fleet) -> Iterator[EngineSite]:
    """Six replicas of version 1 behind the alias `shop`, and a container to ask them from."""
    with open_shop(running, HOSTS) as site:
        yield site


def upgrade(fleet: Fleet, exit_code: int, **parameters: Any) -> Any:
    """Run the blueprint to its end and return the execution."""
    arguments = ["run", "start", "safe_container_upgrade", "--yes"]
    for name, value in {**QUICK, **parameters}.items():
        arguments += ["-p", f"{name}={value if isinstance(value, str) else json.dumps(value)}"]
    done = fleet.run("--json", *arguments, check=False)
    assert done.returncode == exit_code, f"{done.stdout[-3000:]}{done.stderr[-3000:]}"
    started = json.loads(done.stdout)
    return fleet.call(lambda client: client.show_run(started["id"]))


def serving(site: EngineSite) -> dict[str, tuple[str, bool]]:
    """Return the digest that each host's container was made of, and whether it runs."""
    found = {host: site.inspect(host) for host in HOSTS}
    return {host: (one["Config"]["Image"].partition("@")[2], one["State"]["Running"]) for host, one in found.items()}


def check_nothing_lost(clients: Load) -> None:
    assert clients.lost == [], f"{len(clients.lost)} of {clients.total} requests were lost"
    assert clients.total > 100


@pytest.mark.parametrize(
    "how",
    [
        {"upgrade_type": "rolling", "drain": "3s", "at_once": 3},
        {"upgrade_type": "blue_green", "scale_down_delay": "3s", "at_once": 3},
    ],
    ids=lambda how: str(how["upgrade_type"]),
)
def test_no_request_is_lost(fleet: Fleet, shop: EngineSite, how: dict[str, Any]) -> None:
    with load(shop, "client", "shop", path=SLOW) as clients:
        execution = upgrade(fleet, 0, **how)
    check_nothing_lost(clients)
    assert execution["outputs"]["upgraded_hosts"] == list(HOSTS)
    assert serving(shop) == dict.fromkeys(HOSTS, (digest_of(shop, f"{APP}:2"), True))


def test_a_broken_version_on_the_canary_comes_back_by_itself(fleet: Fleet, shop: EngineSite) -> None:
    shop.docker("push", "-q", f"{APP}:sick")
    before = {host: shop.inspect(host)["Id"] for host in HOSTS}
    with load(shop, "client", "shop", path=SLOW) as clients:
        execution = upgrade(fleet, 1, upgrade_type="canary", drain="3s", image=f"{APP}:sick")
    assert len(clients.lost) < 0.01 * clients.total, clients.lost
    assert set(clients.answers) == {"version 1"}
    states = {(run["step"], run["host"]): run["state"] for run in execution["runs"]}
    assert states["upgrade/swap", "web1"] == "failed"
    assert {host for step, host in states if step == "upgrade/swap"} == {"web1"}
    assert {host: shop.inspect(host)["Id"] for host in HOSTS} == before
    assert all(runs for _, runs in serving(shop).values())


def test_a_version_that_fails_its_test_is_reverted_everywhere(fleet: Fleet, shop: EngineSite) -> None:
    before = {host: shop.inspect(host)["Id"] for host in HOSTS}
    with load(shop, "client", "shop", path=SLOW) as clients:
        execution = upgrade(
            fleet, 1, upgrade_type="blue_green", scale_down_delay="3s", at_once=1, test_command=["/bin/false"]
        )
    check_nothing_lost(clients)
    states = {(run["step"], run["host"]): run["state"] for run in execution["runs"]}
    assert states["upgrade/swap", "web1"] == "compensated"
    assert {host: shop.inspect(host)["Id"] for host in HOSTS} == before


@pytest.mark.parametrize(
    ("how", "failed", "says", "swap"),
    [
        ({"metric": "shop_queue"}, "no_worse", "more than 1.5 times the old one's", "compensated"),
        ({"metric": "shop_queue", "metric_labels": {"version": "1"}}, "figure_after", "is not there", "compensated"),
        ({"metric": "shop_gone"}, "figure_before", "is not there", None),
        ({"metric": "shop_queue", "metric_tolerance": 3}, None, "", "succeeded"),
    ],
    ids=["worse", "gone afterwards", "never there", "tolerated"],
)
def test_a_figure_decides(
    fleet: Fleet, shop: EngineSite, how: dict[str, Any], failed: str | None, says: str, swap: str | None
) -> None:
    shop.docker("rm", "-f", "web1")
    fixed = ("--network", "front", "--ip", "172.31.7.77", "--stop-signal", "SIGKILL")
    shop.docker("run", "-d", "--name", "web1", *fixed, f"{APP}:1")
    before = shop.inspect("web1")["Id"]
    url = "http://172.31.7.77:8080/metrics"
    execution = upgrade(fleet, 1 if failed else 0, hosts="web1", metric_url=url, **how)
    runs = {run["step"].rpartition("/")[2]: run for run in execution["runs"]}
    assert runs["swap"]["state"] == swap if swap else "swap" not in runs or runs["swap"]["state"] != "succeeded"
    assert (shop.inspect("web1")["Id"] == before) is (failed is not None)
    assert shop.inspect("web1")["State"]["Running"]
    if failed:
        assert says in json.dumps(execution, ensure_ascii=False)
        assert runs[failed]["state"] == "failed"


def test_hosts_say_which_containers_there_are_to_choose_from(fleet: Fleet, running: EngineSite) -> None:
    running.docker("run", "-d", "--name", "web1", "--stop-signal", "SIGKILL", f"{APP}:1")
    try:
        asked = ("safe_container_upgrade", "container", "-p", "hosts=web1,web2")
        chosen = fleet.json("blueprint", "choices", *asked)
        assert chosen["items"] == [{"value": "web1", "hosts": ["web1", "web2"]}]
        assert (chosen["asked"], chosen["incomplete"]) == ("discovery.containers", [])
        plan = ("plan", "safe_container_upgrade", "-p", "hosts=web1", "-p", f"image={APP}:2")
        fleet.run(*plan, "-p", "container=web1")
        refused = fleet.run(*plan, "-p", "container=webb", check=False)
        assert refused.returncode == 1
        assert "no host has `webb`" in refused.stderr
        assert "did you mean `web1`" in refused.stderr
    finally:
        running.remove_everything()


NOT_SICK = {"command": ["/bin/test", "!", "-e", "/sick"]}


def seen_to(site: EngineSite) -> bool:
    """Whether the new container is on trial: it runs in the old one's place, and has not been found healthy yet."""
    return "web1.pilotage-old" in site.names() and bool(site.inspect("web1")["State"]["Running"])


@pytest.mark.parametrize(
    ("version", "back"),
    [("2", "at once"), ("sick", "at once"), ("sick", "when all is over")],
    ids=["good", "broken", "broken, back later"],
)
def test_the_coordinator_dies_while_the_new_one_is_on_trial(
    fleet: Fleet, running: EngineSite, version: str, back: str
) -> None:
    """The upgrade comes to its one end all the same: the new version, or the very container from before."""
    running.docker("push", "-q", f"{APP}:sick")
    running.docker("network", "create", "front")
    running.docker(
        *("run", "-d", "--name", "web1", "--network", "front", "--network-alias", "shop", "--restart", "on-failure:3"),
        *("-e", "LEVEL=mine", "-m", "64m", "-v", "data:/data", "-p", "127.0.0.1:8099:8080", "--stop-signal", "SIGKILL"),
        f"{APP}:1",
    )
    try:
        before = running.inspect("web1")
        times = {"min_healthy_time": "2s" if version == "2" else "200ms", "healthy_deadline": "4s"}
        wanted = {"hosts": ["web1"], "image": f"{APP}:{version}", "health": NOT_SICK, **times}
        started = fleet.call(lambda client: client.start_run(blueprint="safe_container_upgrade", parameters=wanted))
        fleet.until("the new one is on trial", lambda: seen_to(running))
        fleet.coordinator.kill()
        if back != "at once":
            fleet.until("the old one is back", lambda: running.names() == {"web1"})
        fleet.start_coordinator()

        execution = started["execution"]
        fleet.until("its end", lambda: fleet.call(lambda client: client.show_run(execution))["state"] in ENDED)
        shown = fleet.call(lambda client: client.show_run(execution))
        runs = {run["step"].rpartition("/")[2]: run for run in shown["runs"]}
        after = running.inspect("web1")
        assert runs["swap"]["attempts"] == 1
        if version == "2":
            assert (shown["state"], runs["swap"]["state"]) == ("completed", "succeeded")
            assert after["Config"]["Image"].endswith(digest_of(running, f"{APP}:2"))
            assert running.names() == {"web1", "web1.pilotage-previous"}
        else:
            assert runs["swap"]["state"] == "failed"
            assert "The old version" in runs["swap"]["error"]
            for part in ("Id", "Image", "Config", "HostConfig", "Mounts"):
                assert after[part] == before[part], part
            assert (
                after["NetworkSettings"]["Networks"]["front"]["Aliases"]
                == (before["NetworkSettings"]["Networks"]["front"]["Aliases"])
            )
            assert after["State"]["Running"]
            assert running.names() == {"web1"}
    finally:
        running.remove_everything()
