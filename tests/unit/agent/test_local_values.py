"""What a host lets steps name, whatever they are told: folders and images."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from pilotage_agent.catalogue import HostCatalogue
from pilotage_agent.local_values import AllowedValues
from pilotage_agent.messages import FailureKind, Outcome, Query, QueryPurpose
from pilotage_agent.policy import LocalPolicy

from tests.unit.agent.world import Host, World, assignment, key


def refusal(allowed: AllowedValues, *values: Any) -> str:
    return allowed.refusal([json.dumps(each).encode() for each in values]) or ""


@pytest.mark.parametrize(
    "given",
    [
        {"path": "/etc/passwd"},
        {"path": "/srv/../etc/passwd"},
        {"path": "/srv2/x"},
        {"deep": [{"source": ["/srv/ok", "/root"]}]},
        {"argv": ["rm", "-rf", "../../etc"]},
        {"/etc": "a name counts too"},
        {"path": "/srv:/data"},
        {"path": "//etc/passwd"},
        {"path": "/"},
    ],
)
def test_what_is_outside_the_allowed_folders_is_refused(given: dict[str, Any]) -> None:
    assert "allow_paths" in refusal(AllowedValues(paths=("/srv", "/var/backups")), given)
    assert "allow_paths" in refusal(AllowedValues(paths=("/srv",)), {}, given), (
        "outputs of what is undone count as well"
    )


@pytest.mark.parametrize(
    "given", [{"path": "/srv"}, {"path": "/srv/new/file"}, {"text": "a/b", "n": 1}, {"x": "/var/backups/a"}]
)
def test_what_is_inside_them_is_not(given: dict[str, Any]) -> None:
    assert refusal(AllowedValues(paths=("/srv/", "/var/backups")), given) == ""


def test_a_link_that_leads_out_is_followed(tmp_path: Path) -> None:
    folder = tmp_path / "allowed"
    folder.mkdir()
    (folder / "out").symlink_to("/etc")
    allowed = AllowedValues(paths=(str(folder),))
    assert "which is /etc/passwd" in refusal(allowed, {"path": f"{folder}/out/passwd"})
    assert refusal(allowed, {"path": f"{folder}/in"}) == ""


def test_no_folder_at_all_and_no_limit() -> None:
    assert "nothing" in refusal(AllowedValues(paths=()), {"path": "/srv"})
    assert not AllowedValues().limit
    assert "cannot be read" in (AllowedValues(paths=()).refusal([b"{"]) or "")


def test_images_are_allowed_by_patterns() -> None:
    allowed = AllowedValues(images=("registry.example.org/*", "busybox:1.36"))
    assert refusal(allowed, {"image": "registry.example.org/app:2"}) == ""
    assert refusal(allowed, {"image": "busybox:1.36", "name": "evil"}) == ""
    assert "the image evil/app" in refusal(allowed, {"container": {"image": "evil/app"}})
    assert "the image busybox" in refusal(allowed, {"images": ["busybox"]})


async def test_neither_an_attempt_nor_a_question_gets_past_it() -> None:
    host = await Host(World()).recover()
    known = HostCatalogue(by_name={"test.step": {"effect": "once"}})
    policy: Any = LocalPolicy(("test.*",), lambda: known, AllowedValues(paths=("/srv",)))
    host.attempts._policy = policy
    outside = b'{"path":"/etc"}'
    host.attempts.assign(assignment(key(1), parameters=outside))
    host.attempts.assign(assignment(key(2), parameters=b'{"path":"/srv/x"}'))
    for name, step_type in (("outside", "test.step"), ("other", "other.step")):
        host.attempts.ask(Query(query_id=name, purpose=QueryPurpose.READ, step_type=step_type, parameters=outside))
    async with asyncio.timeout(20):
        while key(1) not in host.results or len(host.answers) < 2 or key(2) not in host.world.starts:
            await host.settle()
            await asyncio.sleep(0.001)
    result = host.last(key(1))
    assert (result.outcome, result.failure_kind) == (Outcome.DECLINED, FailureKind.POLICY)
    assert "allow_paths" in result.error
    assert {each.failure_kind for each in host.answers} == {FailureKind.POLICY}
    assert key(1) not in host.world.starts
