"""Where Docker volumes lie, and what `discovery.data` makes of an engine that is not there."""

import socket
from typing import Any

import pytest
from pilotage_plugin_api import InfrastructureFailed
from pilotage_plugin_api.testing import Harness
from pilotage_plugins.container import connection
from pilotage_plugins.discovery.data import DiscoveryData
from pilotage_plugins.discovery.docker_volumes import located


def volume(name: str, driver: str = "local", **options: str) -> dict[str, Any]:
    return {"Name": name, "Driver": driver, "Mountpoint": f"/docker/{name}/_data", "Options": options or None}


def test_volumes_lie_where_their_options_say() -> None:
    found = located(
        [
            volume("shop"),
            volume("films", type="none", o="rw,bind", device="/mnt/films/"),
            volume("office", type="nfs", o="addr=10.0.0.1", device=":/office"),
            volume("cloud", driver="rclone"),
        ]
    )
    assert found.folders == {"films": "/mnt/films", "shop": "/docker/shop/_data"}
    assert list(found.left_out) == [
        "Docker volume cloud: only its driver rclone knows where it lies",
        "Docker volume office: it is nfs from :/office",
    ]


def look(harness: Harness, docker_host: str) -> dict[str, Any]:
    harness.facts["vars"] = {"docker_host": docker_host}
    return harness.run(DiscoveryData(), {"roots": [], "kinds": ["docker_volumes"]})


def test_a_host_without_an_engine_has_no_volumes(harness: Harness) -> None:
    assert look(harness, f"unix://{harness.sandbox}/none.sock")["volumes"] == []
    assert "there is no Docker Engine here" in harness.recorder.text


def test_an_engine_that_stands_still_fails_the_search_instead_of_hiding_its_volumes(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "ANSWER_SECONDS", 0.2)
    path = harness.sandbox / "still.sock"
    with socket.socket(socket.AF_UNIX) as still:
        still.bind(str(path))
        still.listen()
        with pytest.raises(InfrastructureFailed, match="has not answered"):
            look(harness, f"unix://{path}")
