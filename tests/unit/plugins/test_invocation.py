"""A step type is called in one way: checked before, stopped when asked, its errors told by kind."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pilotage_plugin_api import (
    DeadlineExceeded,
    Effect,
    FailureKind,
    InfrastructureFailed,
    Refused,
    SecretRef,
    StepCancelled,
    StepContext,
    StepFailed,
    StepOutputs,
    StepParams,
    StepType,
)
from pilotage_plugin_api import invocation as invocation_module
from pilotage_plugin_api.invocation import guard, invoker_from, outputs_of_failure, run_step
from pilotage_plugin_api.testing import Harness


class ActParams(StepParams):
    text: str = ""
    colour: str = ""


class ActOutputs(StepOutputs):
    text: str


class Acting(StepType[ActParams, ActOutputs]):
    """Do what the test says."""

    name = "test.act"
    effect = Effect.READ
    Params = ActParams
    Outputs = ActOutputs

    def __init__(self, act: Callable[[StepContext], Any] | None = None) -> None:
        self._act = act

    async def run(self, ctx: StepContext, params: ActParams) -> ActOutputs:
        text = await self._act(ctx) if self._act else params.text
        return ActOutputs(text=str(text))


def test_parameters_are_refused_together_and_by_name(harness: Harness) -> None:
    with pytest.raises(Refused, match=r"text: .*string.*; color is unknown, did you mean colour\?") as caught:
        harness.run(Acting(), {"text": ["hunter2"], "color": "red"})
    assert "hunter2" not in str(caught.value)
    assert caught.value.kind is FailureKind.PARAMETER


def test_an_unknown_exception_is_a_failed_step(harness: Harness) -> None:
    async def fail(ctx: StepContext) -> None:
        raise KeyError("x")

    with pytest.raises(StepFailed, match=r"test\.act failed: KeyError: 'x'"):
        harness.run(Acting(fail), {})


def test_a_kind_passes_through(harness: Harness) -> None:
    async def fail(ctx: StepContext) -> None:
        raise InfrastructureFailed("the vault is away")

    with pytest.raises(InfrastructureFailed, match="the vault is away"):
        harness.run(Acting(fail), {})


def test_what_a_failed_run_found_out_is_kept_if_it_is_its_own_and_fits() -> None:
    def kept(outputs: StepOutputs | None) -> dict[str, Any]:
        return outputs_of_failure(Acting(), StepFailed("no", outputs=outputs))

    assert kept(ActOutputs(text="half of it")) == {"text": "half of it"}
    assert kept(None) == {}
    assert kept(StepOutputs()) == {}
    assert kept(ActOutputs(text="x" * 70_000)) == {}
    assert str(StepFailed("no", outputs=ActOutputs(text="x"))) == "no"


def test_outputs_have_a_limit(harness: Harness) -> None:
    assert harness.run(Acting(), {"text": "x" * 65000})["text"]
    with pytest.raises(StepFailed, match="the limit is 65536"):
        harness.run(Acting(), {"text": "ü" * 33000})


def test_a_step_that_ignores_cancellation_is_left_behind(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invocation_module, "STOP_GRACE_SECONDS", 0.1)

    async def ignore(ctx: StepContext) -> None:
        until = time.monotonic() + 1
        while time.monotonic() < until:
            try:
                await asyncio.sleep(0.2)
            except asyncio.CancelledError:
                continue

    async def scenario() -> None:
        cancel = asyncio.Event()
        asyncio.get_running_loop().call_later(0.05, cancel.set)
        started = time.monotonic()
        with pytest.raises(StepCancelled):
            await run_step(Acting(ignore), harness.context("k", harness.scratch_root, cancel=cancel), {})
        assert time.monotonic() - started < 0.6

    asyncio.run(scenario())
    assert "ignores that it should stop" in harness.recorder.text


@pytest.mark.parametrize("stage", ["before", "while sleeping", "while computing", "while cleaning up"])
def test_cancellation_works_at_each_stage(harness: Harness, stage: str) -> None:
    cleaned = []

    async def act(ctx: StepContext) -> str:
        try:
            if stage == "while sleeping":
                await ctx.sleep(60)
            if stage == "while computing":
                await asyncio.to_thread(compute, ctx)
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.05)
            cleaned.append(stage)
        return ""

    def compute(ctx: StepContext) -> None:
        while True:
            ctx.checkpoint()
            time.sleep(0.005)

    with pytest.raises(StepCancelled):
        harness.run(Acting(act), {}, cancel_after=0.0 if stage == "before" else 0.05)
    assert stage == "before" or cleaned == [stage]


def test_a_deadline_is_a_failure_of_the_step(harness: Harness) -> None:
    async def act(ctx: StepContext) -> None:
        await ctx.sleep(60)

    with pytest.raises(DeadlineExceeded) as caught:
        harness.run(Acting(act), {}, timeout=0.05)
    assert caught.value.kind is FailureKind.STEP


def test_only_read_runs_inside_another(harness: Harness) -> None:
    class Changing(Acting):
        """Change something."""

        name = "test.change"
        effect = Effect.ONCE

    types: dict[str, Any] = {"test.act": Acting(), "test.change": Changing()}

    async def scenario() -> None:
        ctx = harness.context("k", harness.scratch_root)
        invoke = invoker_from(types.__getitem__)
        assert await invoke(ctx, "test.act", {"text": "hi"}) == {"text": "hi"}
        with pytest.raises(Refused, match="effect once"):
            await invoke(ctx, "test.change", {})

    asyncio.run(scenario())


def test_a_secret_file_lives_in_memory_and_only_as_long_as_needed(harness: Harness) -> None:
    harness.secrets.contents["token"] = b"canary\0\n"
    seen: list[str] = []

    async def act(ctx: StepContext) -> str:
        async with ctx.secret_file(SecretRef("token")) as file:
            seen.append(file.path)
            result = await ctx.program(["cat", file.path], pass_fds=[file.fd], on_stdout=lambda _line: None)
            assert result.stdout == b"canary\0\n"
            assert "memfd" in str(Path(file.path).readlink())
            assert Path(file.path).stat().st_mode & 0o777 == 0o400
            other = await ctx.program(["cat", file.path], on_stdout=lambda _line: None)
            assert other.exit_code != 0
        return "done"

    assert harness.run(Acting(act), {}) == {"text": "done"}
    assert not Path(seen[0]).exists() or "memfd" not in str(Path(seen[0]).readlink())
    assert "canary" not in harness.seen()


def test_a_secret_that_was_not_granted_is_refused(harness: Harness) -> None:
    async def act(ctx: StepContext) -> bytes:
        return await ctx.secret(SecretRef("other"))

    with pytest.raises(Refused, match="other"):
        harness.run(Acting(act), {})


async def test_a_cancelled_guard_cancels_its_work(harness: Harness) -> None:
    stopped = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            stopped.set()

    task = asyncio.create_task(guard(harness.context("k", harness.scratch_root), "work", work))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(stopped.wait(), 1)
