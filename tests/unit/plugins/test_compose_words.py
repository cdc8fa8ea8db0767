"""Compose projects: what parameters mean, how a resolved file is read, and what bringing it up would change."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pilotage_plugin_api import Refused, TargetFailed
from pilotage_plugin_api.testing import Harness
from pilotage_plugins.compose.changes import service_changes
from pilotage_plugins.compose.definition import Definition, definition
from pilotage_plugins.compose.down import DownParams
from pilotage_plugins.compose.program import Compose
from pilotage_plugins.compose.project import ProjectParams
from pilotage_plugins.compose.site import Site
from pilotage_plugins.compose.standing import Member, Standing, must_be_here
from pilotage_plugins.compose.up import ComposeUp, UpParams
from pilotage_plugins.compose.way_back import dependencies
from pydantic import ValidationError

MODEL: dict[str, Any] = {
    "name": "shop",
    "services": {
        "web": {
            "image": "app:1",
            "deploy": {"replicas": 2},
            "healthcheck": {"test": ["CMD", "true"]},
            "depends_on": {
                "migrate": {"condition": "service_completed_successfully"},
                "db": {"condition": "service_healthy"},
            },
        },
        "migrate": {"image": "app:1"},
        "db": {"build": {"context": "."}, "healthcheck": {"disable": True}},
    },
    "networks": {"default": {"name": "shop_default"}, "outside": {"external": True, "name": "front"}},
    "volumes": {"data": None},
}


def wanted() -> Definition:
    return definition(MODEL, "/srv/shop", json.dumps(MODEL), {}, {name: f"h-{name}" for name in MODEL["services"]})


def member(service: str, number: int = 1, **more: Any) -> Member:
    given = {"hash": f"h-{service}", "image": "app:1", "image_id": "i1", "state": "running", "status": "Up", **more}
    return Member(id=f"{service}{number}", name=f"shop-{service}-{number}", service=service, **given)


def test_a_resolved_file_is_read() -> None:
    found = wanted()
    told = [
        (each.name, each.image, each.replicas, each.checked, each.job, each.built) for each in found.services.values()
    ]
    assert told == [
        ("db", "shop-db", 1, False, False, True),
        ("migrate", "app:1", 1, None, True, False),
        ("web", "app:1", 2, True, False, False),
    ]
    assert (found.networks, found.volumes) == (("shop_default",), ("data",))
    assert dependencies(MODEL)["web"]["db"] == "service_healthy"
    with pytest.raises(Refused, match="has no services"):
        definition({"name": "shop", "services": {}}, "/srv/shop", "{}", {}, {})


def test_what_would_change_is_told() -> None:
    members = (
        member("web", 1),
        member("web", 2, image_id="i0"),
        member("migrate", state="exited"),
        member("old"),
    )
    images = {"app:1": "i1", "shop-db": None}

    def told(**more: Any) -> dict[str, tuple[str, str]]:
        now = Standing("shop", "/srv/shop", (), members)
        asked: dict[str, Any] = {"recreate": (), "orphans_go": False, **more}
        return {one.subject: (one.action, one.note) for one in service_changes(wanted(), now, images, **asked)}

    assert told() == {
        "shop/web": ("update", "recreated: its image changed"),
        "shop/migrate": ("run", "shop-migrate-1 started again"),
        "shop/db": ("create", "to be pulled"),
        "shop/old": ("none", "the file does not name it any more: it is left (remove_orphans: true)"),
    }
    assert told(orphans_go=True)["shop/old"][0] == "delete"
    assert told(recreate=("web",))["shop/web"][1] == "recreated: its image changed, asked for"


@pytest.mark.parametrize(
    ("params", "why"),
    [
        ({}, "directory"),
        ({"directory": "srv/shop"}, "directory"),
        ({"directory": "/s", "text": "x", "files": ["a"]}, "only one of files, text, file"),
        ({"directory": "/s", "files": ["-"]}, "files"),
        ({"directory": "/s", "files": ["--help"]}, "files"),
        ({"directory": "/s", "project": "-p"}, "project"),
        ({"directory": "/s", "project": "Shop"}, "project"),
        ({"directory": "/s", "profiles": ["--all"]}, "profiles"),
        ({"directory": "/s", "env": {"A=B": "x"}}, "env"),
        ({"directory": "/s", "env": {"DOCKER_HOST": "tcp://other"}}, "DOCKER_HOST steers"),
        ({"directory": "/s", "recreate": ["--x"]}, "recreate"),
        ({"directory": "/s", "health": {"web": {}}}, "give one of"),
        ({"directory": "/s", "health": {"web": {"none": True, "ends": True}}}, "give one of"),
        ({"directory": "/s", "min_healthy_time": "2m", "healthy_deadline": "1m"}, "min_healthy_time"),
    ],
)
def test_parameters_that_mean_nothing_are_refused(params: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        UpParams.model_validate(params)


def test_a_project_to_take_down_must_be_named() -> None:
    with pytest.raises(ValidationError, match="give project or directory"):
        DownParams.model_validate({})


def test_nothing_private_is_an_argument(harness: Harness, tmp_path: Path) -> None:
    ctx = harness.context("k/1", tmp_path)
    compose = Compose(ctx, "/run/docker.sock", "/srv/sh op", "shop", ["/srv/sh op/a.yaml"], ["/srv/.env"], ["dev"])
    assert compose.arguments(["up", "--detach"], by_text=False) == [
        "docker", "compose", "--ansi=never", "--progress=plain", "--project-name=shop",
        "--project-directory=/srv/sh op", "--file=/srv/sh op/a.yaml", "--env-file=/srv/.env", "--profile=dev",
        "up", "--detach",
    ]  # fmt: skip
    assert "--file=-" in compose.arguments(["config"], by_text=True)


def test_a_project_that_is_not_the_planned_one_is_refused() -> None:
    site = Site(ctx=Any, engine=Any, compose=Any, params=Any, wanted=wanted(), env={})  # type: ignore[arg-type]
    site.must_be(None)
    site.must_be(site.wanted.sha256)
    with pytest.raises(TargetFailed, match=r"not to 000000000000\. Nothing was changed"):
        site.must_be("0" * 64)


def test_files_are_looked_for_in_the_folder_alone(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("")
    folder = tmp_path / "shop"
    folder.mkdir()
    with pytest.raises(TargetFailed, match="no compose file"):
        ProjectParams(directory=str(folder)).compose_files()
    for name in ("docker-compose.yml", "docker-compose.override.yml", "other.yaml"):
        (folder / name).write_text("")
    names = [Path(path).name for path in ProjectParams(directory=str(folder)).compose_files()]
    assert names == ["docker-compose.yml", "docker-compose.override.yml"]
    assert ProjectParams(directory=str(folder), files=("other.yaml",)).compose_files() == (str(folder / "other.yaml"),)


def test_a_project_of_another_folder_is_told_apart() -> None:
    now = Standing("shop", "/srv/shop/", (), (member("web"),))
    must_be_here(now, "/srv/shop")
    must_be_here(Standing("shop", "", (), ()), "/srv/other")
    with pytest.raises(TargetFailed, match="a project shop already, from /srv/shop"):
        must_be_here(now, "/srv/other")


@pytest.mark.parametrize(
    ("program", "why"),
    [
        (None, "the program docker is not installed"),
        ("echo \"docker: 'compose' is not a docker command.\" >&2; exit 1", "docker has no plugin compose"),
        ("echo Docker Compose version v2.3.4", "2.3.4 is too old"),
        ("echo Docker Compose version 2.26.1-4", ""),
    ],
)
def test_availability_tells_what_is_missing(
    harness: Harness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str | None, why: str
) -> None:
    async def answers(path: str, seconds: float) -> None:
        return None

    monkeypatch.setattr("pilotage_plugins.container.connection.reach", answers)
    if program is not None:
        (tmp_path / "docker").write_text(f"#!/bin/sh\n{program}\n")
        (tmp_path / "docker").chmod(0o755)
    ctx = replace(harness.context("k/1", tmp_path), environment={"PATH": str(tmp_path)})
    answer = asyncio.run(ComposeUp().available(ctx))
    assert answer.available == (not why)
    assert why in answer.reason
