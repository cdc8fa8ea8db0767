"""Facts that change slowly: kept over restarts, and never lost because something did not answer."""

import asyncio
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pilotage_agent.catalogue_probe import holdings as found_by
from pilotage_agent.holdings import EVERY_SECONDS, FIRST_SECONDS, FRESH_SECONDS, Holdings
from pilotage_plugin_api.catalogue import load_catalogue


class Host:
    """Answers with what it is told to, or fails."""

    def __init__(self, *answers: Mapping[str, Any] | Exception) -> None:
        self._answers = list(answers)

    async def __call__(self) -> Mapping[str, Any]:
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


async def test_what_did_not_answer_stays_known(tmp_path: Path) -> None:
    both = {"packages_manual": ["nginx"], "compose_projects": [{"name": "shop"}]}
    host = Host(
        both, {"packages_manual": ["curl", "nginx"]}, RuntimeError("no child"), {"packages_manual": ["curl", "nginx"]}
    )
    holdings = Holdings(tmp_path / "holdings.json", host)
    assert [await holdings.look() for _ in range(4)] == [True, True, False, False]
    assert holdings.facts == {"packages_manual": ["curl", "nginx"], "compose_projects": [{"name": "shop"}]}
    again = Holdings(tmp_path / "holdings.json", Host())
    again.load()
    assert again.facts == holdings.facts


@pytest.mark.parametrize("content", [b"", b"[]", b'{"facts": 5, "found_at": 1}', b"\xff", b'{"facts": {}}'])
def test_a_file_that_cannot_be_read_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "holdings.json").write_bytes(content)
    holdings = Holdings(tmp_path / "holdings.json", Host())
    holdings.load()
    assert (holdings.facts, holdings.first_look_in()) == ({}, FIRST_SECONDS)


@pytest.mark.parametrize(("age", "soon"), [(60, False), (FRESH_SECONDS + 60, True), (-3600, True)])
def test_fresh_facts_are_not_looked_for_again_after_a_start(tmp_path: Path, age: float, soon: bool) -> None:
    kept = {"facts": {"packages_manual": []}, "found_at": time.time() - age}
    (tmp_path / "holdings.json").write_text(json.dumps(kept))
    holdings = Holdings(tmp_path / "holdings.json", Host())
    holdings.load()
    assert (
        holdings.first_look_in() == FIRST_SECONDS if soon else FRESH_SECONDS < holdings.first_look_in() < EVERY_SECONDS
    )


async def test_a_disk_that_is_full_loses_nothing_in_memory(tmp_path: Path) -> None:
    holdings = Holdings(tmp_path / "no folder" / "holdings.json", Host({"packages_manual": ["a"]}))
    assert await holdings.look()
    assert holdings.facts == {"packages_manual": ["a"]}


def test_what_is_not_on_this_host_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    found = asyncio.run(found_by(load_catalogue(), tmp_path, "h1"))
    assert "compose_projects" not in found
    assert set(found) <= {"packages_manual", "packages_manual_left_out"}
