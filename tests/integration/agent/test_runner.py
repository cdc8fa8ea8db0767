"""Steps that misbehave, in real worker processes: each ends with the right news, and nothing of it is left."""

import asyncio
import fcntl
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from pilotage_agent.messages import Cancel, FailureKind, Outcome, Query, QueryPurpose
from pilotage_agent.runner import local
from pilotage_agent.runner.local_run import Limits
from pilotage_agent.runner.process import descendants_of, resident_bytes
from pilotage_agent.runner.step_log import KEPT, LIVE_LIMIT

from tests.integration.agent.runner_site import RunnerSite, key, runner_site


async def nothing_left(site: RunnerSite, files: bool = True) -> None:
    """Wait until no worker with a job and no file of an attempt is left."""
    zygote = site.pool.zygote_pid
    assert zygote is not None
    async with asyncio.timeout(20):
        while len(descendants_of(zygote)) > 1 + 4 or (files and any(site.folder.iterdir())):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_a_step_gives_outputs_lines_and_progress(tmp_path: Path) -> None:
    async with runner_site(tmp_path) as site:
        result = await site.run(key(), "dummy.once", log=["one", "two"], outputs={"a": 1}, progress=2, sleep="700ms")
        assert result.outcome is Outcome.SUCCEEDED, result.error
        assert json.loads(result.outputs)["values"] == {"a": 1}
        site.acknowledge(key())
        await nothing_left(site)
        assert site.lines(key()) == ["one", "two"]
        assert site.progress[0].text == "slice 1 of 2"


async def test_a_failure_keeps_its_kind(tmp_path: Path) -> None:
    async with runner_site(tmp_path) as site:
        result = await site.run(key(), "dummy.once", fail=-1, fail_kind="infrastructure", fail_message="no network")
        assert (result.outcome, result.failure_kind) == (Outcome.FAILED, FailureKind.INFRASTRUCTURE)
        assert "no network" in result.error


async def test_wrong_parameters_are_named(tmp_path: Path) -> None:
    async with runner_site(tmp_path) as site:
        result = await site.run(key(), "dummy.once", sleeep="1s")
        assert (result.outcome, result.failure_kind) == (Outcome.FAILED, FailureKind.PARAMETER)
        assert "did you mean sleep" in result.error


@pytest.mark.parametrize(("how", "word"), [("sigkill", "SIGKILL"), ("exit", "exit code 70")])
async def test_a_crash_is_interrupted_and_says_how(tmp_path: Path, how: str, word: str) -> None:
    async with runner_site(tmp_path) as site:
        result = await site.run(key(), "dummy.once", crash=how, log=["before"])
        assert result.outcome is Outcome.INTERRUPTED, result
        evidence = json.loads(result.evidence)
        assert word in evidence["cause"]
        assert evidence["log"][-1] == "before"


async def test_a_killed_attempt_is_put_in_order_in_a_process_of_its_own(tmp_path: Path) -> None:
    async with runner_site(tmp_path / "site") as site:
        mess, recovered, starts = tmp_path / "mess", tmp_path / "recovered", tmp_path / "starts"
        places: dict[str, Any] = {"mess": str(mess), "recover_write": str(recovered), "write": str(starts)}
        result = await site.run(key(), "dummy.probe", crash="sigkill", finished=str(tmp_path / "finished"), **places)
        assert result.outcome is Outcome.INTERRUPTED, result
        evidence = json.loads(result.evidence)
        assert (evidence["recovery"], evidence["probe"]) == ("done", "not_done")
        assert f"took {mess} away" in evidence["recovery_evidence"]
        assert not mess.exists()
        assert starts.read_text().split()[1] != recovered.read_text().split()[1]


async def test_a_step_that_is_killed_after_a_cancel_is_put_in_order_first(tmp_path: Path) -> None:
    async with runner_site(tmp_path / "site", Limits(stop_grace=1.0)) as site:
        mess = tmp_path / "mess"
        site.assign(key(), "dummy.probe", hang=True, block=True, mess=str(mess))
        await _exists(mess)
        site.attempts.cancel(Cancel(key(), 1, "enough"))
        result = await site.result(key())
        assert (result.outcome, json.loads(result.evidence)["recovery"]) == (Outcome.CANCELLED, "done")
        assert not mess.exists()


async def test_a_clean_up_that_is_cut_off_after_its_grace_is_put_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    # Read by every process that starts: the ten seconds of the plugin API are too long for a test.
    (tmp_path / "sitecustomize.py").write_text(
        "import pilotage_plugin_api.invocation as i\ni.STOP_GRACE_SECONDS = 0.2\n"
    )
    async with runner_site(tmp_path / "site") as site:
        mess = tmp_path / "mess"
        result = await site.run(key(), "dummy.probe", hang=True, ignore_cancel=True, mess=str(mess), timeout_ms=300)
        assert (result.outcome, json.loads(result.evidence).get("recovery")) == (Outcome.FAILED, "done"), result
        assert not mess.exists()


async def test_a_recovery_that_fails_is_tried_again_and_then_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "RECOVERY_PAUSES", (0.0, 0.0))
    async with runner_site(tmp_path / "site") as site:
        mess: dict[str, Any] = {"mess": str(tmp_path / "mess"), "crash": "sigkill", "answer": "not_done"}
        healed = await site.run(key(1), "dummy.probe", recover_fail=2, counter=str(tmp_path / "count"), **mess)
        assert (healed.outcome, json.loads(healed.evidence)["recovery"]) == (Outcome.INTERRUPTED, "done")
        failed = await site.run(key(2), "dummy.probe", recover_fail=-1, **mess)
        evidence = json.loads(failed.evidence)
        assert (failed.outcome, evidence["recovery"]) == (Outcome.INTERRUPTED, "failed")
        assert "the dummy was asked to fail its recovery" in evidence["recovery_evidence"]
        assert "probe" not in evidence


async def test_two_recoveries_of_one_attempt_do_not_overlap(tmp_path: Path) -> None:
    """A former agent process may have asked for one that is still at work: it holds the attempt's record."""
    async with runner_site(tmp_path / "site") as site:
        mess, recovered = tmp_path / "mess", tmp_path / "recovered"
        site.assign(key(), "dummy.probe", hang=True, mess=str(mess), recover_write=str(recovered))
        await _exists(mess)
        held = os.open(site.runner.folder(key()).path, os.O_RDONLY)
        fcntl.flock(held, fcntl.LOCK_EX)
        (worker,) = [entry.worker for entry in site.journal.entries() if entry.worker is not None]
        os.kill(worker.pid, signal.SIGKILL)
        with pytest.raises(TimeoutError):
            await site.result(key(), 1.0)
        assert not recovered.exists()
        os.close(held)
        assert json.loads((await site.result(key())).evidence)["recovery"] == "done"


async def test_a_step_that_ignores_its_timeout_is_killed(tmp_path: Path) -> None:
    async with runner_site(tmp_path, Limits(stop_grace=1.0)) as site:
        result = await site.run(key(), "dummy.once", timeout_ms=500, hang=True, block=True, children=2)
        assert (result.outcome, result.failure_kind) == (Outcome.FAILED, FailureKind.STEP)
        assert "timeout" in result.error
        await nothing_left(site, files=False)


async def test_a_step_that_keeps_its_timeout_fails_by_itself(tmp_path: Path) -> None:
    async with runner_site(tmp_path) as site:
        result = await site.run(key(), "dummy.once", timeout_ms=300, hang=True)
        assert result.outcome is Outcome.FAILED
        assert "deadline" in result.error


async def test_a_cancel_stops_a_step(tmp_path: Path) -> None:
    async with runner_site(tmp_path) as site:
        marker = tmp_path / "started"
        site.assign(key(), "dummy.once", hang=True, write=str(marker))
        await _exists(marker)
        site.attempts.cancel(Cancel(key(), 1, "enough"))
        result = await site.result(key())
        assert result.outcome is Outcome.CANCELLED
        assert result.started_at > 0


async def test_a_step_is_followed_past_the_head_of_its_log(tmp_path: Path) -> None:
    async with runner_site(tmp_path) as site:
        site.assign(key(), "dummy.once", flood=f"{2 * KEPT}B", log=["the newest"], hang=True)
        async with asyncio.timeout(20):
            while "the newest" not in site.lines(key())[-1:]:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert not site.chunks[key()][-1].last
        site.attempts.cancel(Cancel(key(), 1, "seen"))
        assert (await site.result(key())).outcome is Outcome.CANCELLED


async def test_as_much_of_a_log_is_kept_as_the_settings_say(tmp_path: Path) -> None:
    async with runner_site(tmp_path, Limits(log_bytes=8 * KEPT)) as site:
        result = await site.run(key(), "dummy.once", flood=f"{6 * KEPT}B")
        assert result.outcome is Outcome.SUCCEEDED, result.error
        async with asyncio.timeout(20):
            while not any(chunk.last for chunk in site.chunks.get(key(), ())):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert len(site.lines(key())) == 6 * KEPT // 1024


async def test_a_step_that_ignores_cancel_is_killed_with_all_its_children(tmp_path: Path) -> None:
    async with runner_site(tmp_path, Limits(stop_grace=1.0)) as site:
        marker = tmp_path / "started"
        site.assign(key(), "dummy.once", hang=True, block=True, children=3, write=str(marker))
        await _exists(marker)
        await asyncio.sleep(0.3)
        site.attempts.cancel(Cancel(key(), 1, "enough"))
        result = await site.result(key())
        assert result.outcome is Outcome.CANCELLED
        assert "killed" in result.error
        await nothing_left(site, files=False)


async def test_children_left_behind_are_ended_and_noted(tmp_path: Path) -> None:
    async with runner_site(tmp_path) as site:
        result = await site.run(key(), "dummy.once", children=2)
        assert result.outcome is Outcome.SUCCEEDED
        site.acknowledge(key())
        await nothing_left(site)
        assert "left 2 process(es) behind" in site.lines(key())[-1]


async def test_children_of_a_killed_worker_are_ended(tmp_path: Path) -> None:
    async with runner_site(tmp_path) as site:
        result = await site.run(key(), "dummy.once", children=2, crash="sigkill")
        assert result.outcome is Outcome.INTERRUPTED
        await nothing_left(site, files=False)


async def test_a_flood_is_bounded_and_its_loss_counted(tmp_path: Path) -> None:
    async with runner_site(tmp_path) as site:
        result = await site.run(key(), "dummy.once", flood=12 << 20)
        assert result.outcome is Outcome.SUCCEEDED
        site.acknowledge(key())
        await nothing_left(site)
        chunks = site.chunks[key()]
        kept = sum(len(chunk.data) for chunk in chunks)
        dropped = sum(chunk.dropped for chunk in chunks)
        assert KEPT // 2 < kept <= LIVE_LIMIT + KEPT
        assert chunks[-1].offset + len(chunks[-1].data) == kept + dropped
        assert kept + dropped > 12 << 20
        assert chunks[-1].last


async def test_memory_is_bounded(tmp_path: Path) -> None:
    async with runner_site(tmp_path, Limits(memory_bytes=256 << 20)) as site:
        result = await site.run(key(), "dummy.once", allocate=1 << 30)
        assert result.outcome is Outcome.FAILED
        assert "emory" in result.error
        assert "256 MiB that one step may use on this host (memory_limit_mb" in result.error
        assert resident_bytes(site.pool.zygote_pid or 0) < 200 << 20


async def test_a_program_that_is_refused_memory_fails_with_the_limit(tmp_path: Path) -> None:
    grow = "held = []\nwhile True: held.append(bytearray(b'x' * (8 << 20)))"
    async with runner_site(tmp_path, Limits(memory_bytes=192 << 20)) as site:
        result = await site.run(key(), "command.run", argv=[sys.executable, "-c", grow])
        assert result.outcome is Outcome.FAILED
        assert "192 MiB that one step may use on this host (memory_limit_mb" in result.error


async def test_the_processes_of_a_step_are_bounded_together(tmp_path: Path) -> None:
    hold = "held = b'x' * (96 << 20); import time; time.sleep(3600)"
    both = f'{sys.executable} -c "$0" & {sys.executable} -c "$0"'
    async with runner_site(tmp_path, Limits(memory_bytes=160 << 20)) as site:
        result = await site.run(key(), "command.run", argv=["sh", "-c", both, hold])
        assert result.outcome is Outcome.FAILED
        assert "160 MiB that one step may use on this host (memory_limit_mb" in result.error


async def test_too_many_processes_are_killed(tmp_path: Path) -> None:
    async with runner_site(tmp_path, Limits(tasks=4)) as site:
        result = await site.run(key(), "dummy.once", children=8, hang=True)
        assert result.outcome is Outcome.FAILED
        assert "processes" in result.error
        await nothing_left(site, files=False)


async def test_secrets_are_redacted_in_lines_outputs_and_errors(tmp_path: Path) -> None:
    async with runner_site(tmp_path) as site:
        canary = "canary-5f3a9c"
        result = await site.run(
            key(),
            "command.run",
            argv=["sh", "-c", f"echo {canary}; echo -n {canary} | base64; echo x{canary}y | base64 >&2; exit 3"],
            secrets={"s": canary.encode()},
        )
        site.acknowledge(key())
        await nothing_left(site)
        everything = repr(result) + repr(site.chunks)
        for form in (canary, "Y2FuYXJ5LTVmM2E5Yw", "hbmFyeS01ZjNhOW"):
            assert form not in everything
        assert "[redacted]" in everything


async def test_reads_share_a_worker_and_once_steps_do_not(tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    async with runner_site(tmp_path / "site") as site:
        for number in range(1, 4):
            await site.run(key(number), "dummy.read", write=str(starts))
        reading = {line.split()[1] for line in starts.read_text().splitlines()}
        for number in range(4, 7):
            await site.run(key(number), "dummy.once", write=str(starts))
        writing = [line.split()[1] for line in starts.read_text().splitlines()[3:]]
    # A plugin thread (asyncio.to_thread) makes a worker unfit for another attempt.
    assert len(reading) in (1, 3)
    assert len(set(writing)) == 3


async def test_queries_are_answered_and_refuse_what_is_no_read(tmp_path: Path) -> None:
    async with runner_site(tmp_path) as site:
        read = Query(
            query_id="q1", purpose=QueryPurpose.READ, step_type="dummy.read", parameters=b'{"outputs":{"a":1}}'
        )
        answer = await site.runner.query(read)
        assert answer.ok, answer
        assert json.loads(answer.answer)["values"] == {"a": 1}
        once = Query(query_id="q2", purpose=QueryPurpose.READ, step_type="dummy.once")
        refused = await site.runner.query(once)
        assert not refused.ok
        assert "cannot be run while planning" in refused.error
        preview = Query(query_id="q3", purpose=QueryPurpose.PREVIEW, step_type="dummy.once")
        assert (await site.runner.query(preview)).ok
        await nothing_left(site)


async def test_a_killed_zygote_is_replaced_and_running_steps_end_well(tmp_path: Path) -> None:
    async with runner_site(tmp_path) as site:
        marker = tmp_path / "started"
        site.assign(key(1), "dummy.once", sleep="1s", write=str(marker))
        await _exists(marker)
        assert site.pool.zygote_pid is not None
        os.kill(site.pool.zygote_pid, signal.SIGKILL)
        assert (await site.result(key(1))).outcome is Outcome.SUCCEEDED
        assert (await site.run(key(2), "dummy.once")).outcome is Outcome.SUCCEEDED


async def _exists(path: Path) -> None:
    async with asyncio.timeout(30):
        while not path.exists():  # noqa: ASYNC110 - a file tells nobody that it came
            await asyncio.sleep(0.01)
