"""One dummy for each effect; they share their behaviour."""

import asyncio
import os
import time
from pathlib import Path
from urllib.parse import quote

from pilotage_plugin_api import (
    Action,
    Change,
    Effect,
    Preview,
    ProbeAnswer,
    StepContext,
    StepFailed,
    StepType,
)

from pilotage_plugins.dummy.behaviour import act, append_line, count
from pilotage_plugins.dummy.parameters import DummyOutputs, DummyParams, FixedAnswer


class _Dummy(StepType[DummyParams, DummyOutputs]):
    Params = DummyParams
    Outputs = DummyOutputs

    async def run(self, ctx: StepContext, params: DummyParams) -> DummyOutputs:
        return await act(ctx, params)

    async def preview(self, ctx: StepContext, params: DummyParams) -> Preview:
        return Preview(changes=(Change(action=Action.RUN, subject=self.name, note="behaves as its parameters say"),))


class _UndoableDummy(_Dummy):
    async def undo(self, ctx: StepContext, params: DummyParams, outputs: DummyOutputs) -> None:
        if params.undo_write:
            line = f"{quote(ctx.attempt_key)} {os.getpid()} {time.time_ns()}"
            await asyncio.to_thread(append_line, params.undo_write, line)
        start = await asyncio.to_thread(count, params.counter, "undo") if params.counter else 0
        if params.undo_fail == -1 or 0 < start <= params.undo_fail:
            raise StepFailed("the dummy was asked to fail its undo")


class DummyRead(_Dummy):
    """Behave as the parameters say, with effect read: retried after an interruption."""

    name = "dummy.read"
    effect = Effect.READ


class DummyIdempotent(_UndoableDummy):
    """Behave as the parameters say, with effect idempotent: retried after an interruption."""

    name = "dummy.idempotent"
    effect = Effect.IDEMPOTENT


class DummyProbe(_UndoableDummy):
    """Behave as the parameters say, with effect probe: after an interruption, the file `finished` is asked.

    It recovers: what it made a `mess` of is put in order.
    """

    name = "dummy.probe"
    effect = Effect.PROBE

    async def run(self, ctx: StepContext, params: DummyParams) -> DummyOutputs:
        if params.mess is None:
            return await act(ctx, params)
        await asyncio.to_thread(append_line, params.mess, quote(ctx.attempt_key))
        try:
            return await act(ctx, params)
        finally:
            params.mess.unlink()

    async def recover(self, ctx: StepContext, params: DummyParams, key: str) -> str:
        if params.recover_write:
            await asyncio.to_thread(append_line, params.recover_write, f"{quote(key)} {os.getpid()}")
        await ctx.sleep(params.recover_sleep.total_seconds())
        start = await asyncio.to_thread(count, params.counter, "recover") if params.counter else 0
        if params.recover_fail == -1 or 0 < start <= params.recover_fail:
            raise StepFailed("the dummy was asked to fail its recovery")
        if params.mess is None or quote(key) not in await asyncio.to_thread(_lines, params.mess):
            return ""
        params.mess.unlink(missing_ok=True)
        return f"took {params.mess} away"

    async def probe(self, ctx: StepContext, params: DummyParams, key: str) -> ProbeAnswer[DummyOutputs]:
        done = ProbeAnswer.done(DummyOutputs(values=params.outputs), f"{params.finished} names {key}")
        match params.answer:
            case FixedAnswer.DONE:
                return done
            case FixedAnswer.NOT_DONE:
                return ProbeAnswer.not_done("the dummy was asked to say so")
            case FixedAnswer.UNKNOWN:
                return ProbeAnswer.unknown("the dummy was asked to say so")
        if params.finished is None:
            return ProbeAnswer.unknown("no file `finished` was given, so there is nothing to look at")
        lines = await asyncio.to_thread(_lines, params.finished)
        return done if quote(key) in lines else ProbeAnswer.not_done(f"{params.finished} does not name {key}")


class DummyOnce(_UndoableDummy):
    """Behave as the parameters say, with effect once: after an interruption, a person decides."""

    name = "dummy.once"
    effect = Effect.ONCE


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []
