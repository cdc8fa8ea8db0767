"""What discovery finds on a real engine."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pilotage_agent.catalogue import probe_holdings
from pilotage_plugin_api.testing import Harness
from pilotage_plugins.discovery.containers import DiscoveryContainers, DiscoveryVolumes
from pilotage_plugins.discovery.data import DiscoveryData

from tests.integration.docker.engine_site import EngineSite
from tests.integration.docker.images import APP

pytestmark = pytest.mark.integration


def test_containers_and_volumes_belong_together(
    host: Harness, engine: EngineSite, start: Callable[..., dict[str, Any]]
) -> None:
    prefix = "com.docker.compose"
    of_shop = [
        "--label", f"{prefix}.project=shop", "--label", f"{prefix}.project.working_dir=/srv/shop",
        "--label", f"{prefix}.project.config_files=/srv/shop/compose.yaml,/srv/shop/more.yaml",
    ]  # fmt: skip
    start("shop-web-1", *of_shop, "--label", f"{prefix}.service=web", "-v", "shop_data:/data", f"{APP}:1")
    start(
        "shop-db-1",
        *of_shop,
        "--label",
        f"{prefix}.service=db",
        "-v",
        "shop_data:/data",
        "-v",
        "/anonymous",
        f"{APP}:1",
    )
    start("alone", f"{APP}:1")
    engine.ask("POST", "/volumes/create", {"Name": "unused"})
    engine.docker("exec", "shop-web-1", "sh", "-c", "head -c 100000 /dev/zero > /data/file")
    engine.docker("stop", "-t", "1", "shop-db-1")

    found = host.run(DiscoveryContainers(), {})
    by_name = {each["name"]: each for each in found["containers"]}
    assert list(by_name) == ["alone", "shop-db-1", "shop-web-1"]
    assert (by_name["alone"]["project"], by_name["alone"]["volumes"]) == ("", [])
    assert by_name["shop-web-1"]["volumes"] == ["shop_data"]
    assert (by_name["shop-db-1"]["running"], by_name["shop-db-1"]["service"]) == (False, "db")
    running = host.run(DiscoveryContainers(), {"all": False, "labels": [f"{prefix}.project=shop"]})["containers"]
    assert [each["name"] for each in running] == ["shop-web-1"]

    unused, data = sorted(host.run(DiscoveryVolumes(), {})["volumes"], key=lambda each: each["name"], reverse=True)
    assert (data["name"], data["containers"], data["running"]) == (
        "shop_data", ["shop-db-1", "shop-web-1"], ["shop-web-1"],
    )  # fmt: skip
    assert 100_000 <= data["bytes"] < 200_000
    assert data["path"].endswith("/volumes/shop_data/_data")
    assert (unused["containers"], unused["bytes"]) == ([], 0)
    assert len(host.run(DiscoveryVolumes(), {"unnamed": True, "sizes": False})["volumes"]) == 3


async def test_the_agents_facts_name_the_projects(engine: EngineSite, start: Callable[..., dict[str, Any]]) -> None:
    prefix = "com.docker.compose.project"
    labels = {
        prefix: "shop",
        f"{prefix}.working_dir": "/srv/shop",
        f"{prefix}.config_files": "/srv/shop/a.yaml,/srv/b.yaml",
    }
    start(
        "shop-web-1", *(part for name, value in labels.items() for part in ("--label", f"{name}={value}")), f"{APP}:1"
    )
    facts = await probe_holdings({**os.environ, "DOCKER_HOST": engine.address})
    assert facts["compose_projects"] == [
        {
            "name": "shop",
            "directory": "/srv/shop",
            "config_files": ["/srv/shop/a.yaml", "/srv/b.yaml"],
            "profiles": None,
        }
    ], "its files are gone, so nobody knows about its profiles"


def test_discovery_finds_the_named_volumes_of_the_engine(
    host: Harness, engine: EngineSite, start: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    """Wherever they lie, once, with who writes to them; those in a root are the root's, and nobody named the others."""
    bound, root = tmp_path / "bound", tmp_path / "root"
    (root / "inner").mkdir(parents=True)
    bound.mkdir()
    for name, device in (("elsewhere", bound), ("again", bound), ("in-root", root / "inner")):
        options = [word for each in ("type=none", "o=bind", f"device={device}") for word in ("--opt", each)]
        engine.docker("volume", "create", *options, name)
    start("shop", "-v", "orders:/data", "-v", "/nobody", "bb:base")
    start("reader", "-v", "orders:/data:ro", "bb:base")
    folder = Path(engine.ask("GET", "/volumes/orders")["Mountpoint"])
    (folder / "first").write_text("of the shop")
    with closing(sqlite3.connect(folder / "shop.db")) as database:
        database.execute("CREATE TABLE orders (id)")
    found = host.run(DiscoveryData(), {"roots": [str(root)], "kinds": ["volumes", "docker_volumes", "databases"]})
    assert {one["name"]: (one["path"], one["containers"]) for one in found["volumes"]} == {
        "root": (str(root), []),
        "docker/again": (str(bound), []),
        "docker/orders": (str(folder), ["shop"]),
    }
    (database_found,) = found["databases"]
    assert (database_found["name"], database_found["path"]) == ("docker/orders/shop.db", str(folder / "shop.db"))
