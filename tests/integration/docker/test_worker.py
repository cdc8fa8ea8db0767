"""An upgrade in a real worker of a real agent, killed in the middle of its trial."""

import asyncio
import json
import os
import signal
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pilotage_agent.catalogue import probe_catalogue
from pilotage_agent.messages import Assignment, Cancel, Effect, Outcome
from pilotage_agent.runner.process import children_of
from pilotage_proto.attempt import AttemptKey, AttemptKind

from tests.integration.agent.runner_site import RunnerSite, key, runner_site
from tests.integration.docker.engine_site import EngineSite
from tests.integration.docker.images import APP

QUICK = {"min_healthy_time": "100ms", "healthy_deadline": "20s", "every": "50ms"}


def assign(site: RunnerSite, engine: EngineSite, of: AttemptKey, healthy_for: str) -> None:
    health = {**QUICK, "min_healthy_time": healthy_for}
    site.attempts.assign(
        Assignment(
            key=of,
            epoch=1,
            plan_digest="sha256:0",
            step_type="container.upgrade",
            effect=Effect.PROBE,
            parameters=json.dumps({"container": "web", "image": f"{APP}:2", "health": health}).encode(),
            host_variables=json.dumps({"docker_host": engine.address}).encode(),
        )
    )


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - the engine tells nobody
            await asyncio.sleep(0.02)


async def test_a_worker_killed_on_trial_is_put_in_order_and_the_next_attempt_upgrades(
    tmp_path: Path, engine: EngineSite, start: Callable[..., dict[str, Any]]
) -> None:
    before = start("web", f"{APP}:1")
    async with runner_site(tmp_path / "agent") as site:
        assign(site, engine, key(1, 1), "20s")
        await until(lambda: "web.pilotage-old" in engine.names() and engine.inspect("web")["State"]["Running"])
        assert site.pool.zygote_pid is not None
        for worker in children_of(site.pool.zygote_pid):
            os.kill(worker, signal.SIGKILL)
        cut_off = await site.result(key(1, 1), 60)
        assert cut_off.outcome is Outcome.INTERRUPTED, cut_off
        evidence = json.loads(cut_off.evidence)
        assert (evidence["recovery"], evidence["probe"]) == ("done", "not_done")
        assert "put web back" in evidence["recovery_evidence"]
        assert engine.inspect("web")["Id"] == before["Id"]
        assert engine.inspect("web")["State"]["Running"]
        site.acknowledge(key(1, 1))

        assign(site, engine, key(1, 2), "100ms")
        done = await site.result(key(1, 2), 60)
        assert done.outcome is Outcome.SUCCEEDED, done.error
        outputs = json.loads(done.outputs)
        assert outputs["before"]["id"] == before["Id"]
        assert outputs["after"]["id"] == engine.inspect("web")["Id"]
        site.acknowledge(key(1, 2))
    assert engine.names() == {"web", "web.pilotage-previous"}


@pytest.mark.parametrize("when", ["before", "after"])
async def test_agent_and_worker_killed_and_then_cancelled_the_old_one_serves(
    tmp_path: Path, engine: EngineSite, start: Callable[..., dict[str, Any]], when: str
) -> None:
    """The cancel comes while the agent puts things in order, or when it has told the end."""
    before = start("web", f"{APP}:1")
    async with runner_site(tmp_path / "agent") as site:
        assign(site, engine, key(1, 1), "20s")
        await until(lambda: "web.pilotage-old" in engine.names() and engine.inspect("web")["State"]["Running"])
        (worker,) = [entry.worker for entry in site.journal.entries() if entry.worker is not None]
    os.kill(worker.pid, signal.SIGKILL)
    async with runner_site(tmp_path / "agent") as site:
        if when == "before":
            site.attempts.cancel(Cancel(key(1, 1), 1, "enough"))
        result = await site.result(key(1, 1), 60)
        # Whether the agent has seen the worker's end before the cancel or after it makes this difference only.
        assert result.outcome in (Outcome.INTERRUPTED, Outcome.CANCELLED)
        assert json.loads(result.evidence)["recovery"] == "done"
        site.attempts.cancel(Cancel(key(1, 1), 1, "enough"))
    assert engine.names() == {"web"}
    found = engine.inspect("web")
    assert (found["Id"], found["State"]["Running"]) == (before["Id"], True)


@pytest.mark.usefixtures("compose")
async def test_a_worker_killed_while_a_project_comes_up_is_put_in_order(tmp_path: Path, engine: EngineSite) -> None:
    """The agent takes down what the attempt had made, and the next one brings it up."""
    before = engine.picture()
    text = f"services: {{web: {{image: '{APP}:1', stop_signal: SIGKILL}}}}"
    execution = f"exe_{uuid.uuid4().hex}"

    def bring_up(site: RunnerSite, attempt: int, healthy_for: str) -> AttemptKey:
        of = AttemptKey(execution, "up", "h1", "", AttemptKind.RUN, attempt)
        wanted = {"directory": str(tmp_path), "project": "shop", "text": text, **QUICK, "min_healthy_time": healthy_for}
        site.attempts.assign(
            Assignment(
                key=of,
                epoch=1,
                plan_digest="sha256:0",
                step_type="compose.up",
                effect=Effect.PROBE,
                parameters=json.dumps(wanted).encode(),
                host_variables=json.dumps({"docker_host": engine.address}).encode(),
            )
        )
        return of

    async with runner_site(tmp_path / "agent") as site:
        first = bring_up(site, 1, "20s")
        await until(lambda: "shop-web-1" in engine.names() and engine.inspect("shop-web-1")["State"]["Running"])
        (worker,) = [entry.worker for entry in site.journal.entries() if entry.worker is not None]
        os.kill(worker.pid, signal.SIGKILL)
        cut_off = await site.result(first, 60)
        evidence = json.loads(cut_off.evidence)
        assert (cut_off.outcome, evidence["recovery"], evidence["probe"]) == (Outcome.INTERRUPTED, "done", "not_done")
        assert "shop was put back as it was" in evidence["recovery_evidence"]
        assert engine.picture() == before
        site.acknowledge(first)

        done = await site.result(bring_up(site, 2, "100ms"), 60)
        assert done.outcome is Outcome.SUCCEEDED, done.error
    assert engine.names() == {"shop-web-1"}


async def test_an_agent_offers_what_its_engine_can_do(engine: EngineSite) -> None:
    there = await probe_catalogue({**os.environ, "DOCKER_HOST": engine.address})
    missing = await probe_catalogue({**os.environ, "DOCKER_HOST": "unix:///nowhere/docker.sock"})
    for catalogue, available in ((there, True), (missing, False)):
        found = {one["name"]: one for one in json.loads(catalogue.step_types)}["container.upgrade"]
        assert found["available"] is available
        assert available or "no Docker socket at /nowhere/docker.sock" in found["reason"]
        assert catalogue.quarantined == b"[]"
