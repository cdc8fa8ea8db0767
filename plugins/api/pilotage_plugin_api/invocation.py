"""The one way in which a step type is called: by the agent's worker, by `invoke`, and by the test harness alike."""

import asyncio
import difflib
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from pilotage_plugin_api.context import Invoker, StepContext, refuse_to_invoke
from pilotage_plugin_api.effect import Effect
from pilotage_plugin_api.errors import DeadlineExceeded, PluginApiError, Refused, StepCancelled, StepError, StepFailed
from pilotage_plugin_api.preview import Preview
from pilotage_plugin_api.step_type import Availability, StepType

OUTPUTS_LIMIT: Final = 64 * 1024
"""Outputs of one attempt as JSON, bytes (ARCHITECTURE, Conventions)."""

RECOVERY_TEXT_LIMIT: Final = 4_000
"""Characters of what a recovery says that it did."""

STOP_GRACE_SECONDS: Final = 10.0
"""How long a step may clean up after it was told to stop, before we answer without it."""

T = TypeVar("T")
AnyStepType = StepType[Any, Any]


def validate_params(step_type: AnyStepType, params: Mapping[str, Any]) -> BaseModel:
    """Return the parameters as the step type's model; raises Refused naming every wrong one, never its value."""
    try:
        values: BaseModel = step_type.Params.model_validate(dict(params))
    except ValidationError as error:
        known = list(step_type.Params.model_fields)
        problems = "; ".join(_problem(detail, known) for detail in error.errors(include_input=False, include_url=False))
        raise Refused(f"wrong parameters for {step_type.name}: {problems}") from None
    return values


def dump_outputs(step_type: AnyStepType, outputs: object) -> dict[str, Any]:
    """Return the outputs as JSON values; raises StepFailed when they are of another type or above 64 KiB."""
    if not isinstance(outputs, step_type.Outputs):
        raise StepFailed(
            f"{step_type.name} returned {type(outputs).__name__}, not {step_type.Outputs.__name__}:"
            " a fault of its plugin"
        )
    dumped: dict[str, Any] = outputs.model_dump(mode="json")
    try:
        size = len(json.dumps(dumped, ensure_ascii=False, allow_nan=False).encode())
    except ValueError as error:
        raise StepFailed(
            f"{step_type.name} returned outputs that are no JSON ({error}): a fault of its plugin"
        ) from error
    if size > OUTPUTS_LIMIT:
        raise StepFailed(f"the outputs of {step_type.name} are {size} bytes, the limit is {OUTPUTS_LIMIT}")
    return dumped


def outputs_of_failure(step_type: AnyStepType, failure: StepError) -> dict[str, Any]:
    """Return what a failed run found out, as JSON values; empty when it brought nothing that can be kept.

    An error that comes from another step type, which this one invoked, has outputs that are not its own.
    """
    if not isinstance(failure.outputs, step_type.Outputs):
        return {}
    try:
        return dump_outputs(step_type, failure.outputs)
    except StepFailed:
        return {}


async def run_step(step_type: AnyStepType, ctx: StepContext, params: Mapping[str, Any]) -> dict[str, Any]:
    """Run one attempt and return its outputs as JSON values.

    Raises StepCancelled, or a StepError whose `kind` and text are the failure. Any other exception of the step type
    becomes StepFailed. Returns or raises within `STOP_GRACE_SECONDS` of cancellation or deadline, even if the step
    ignores both; a process that is left with such a step must be killed by its parent.
    """
    values = validate_params(step_type, params)
    outputs = await guard(ctx, step_type.name, lambda: step_type.run(ctx, values))
    return dump_outputs(step_type, outputs)


async def undo_step(
    step_type: AnyStepType, ctx: StepContext, params: Mapping[str, Any], outputs: Mapping[str, Any]
) -> None:
    """Compensate a run that returned these outputs (JSON values, as `run_step` gave them)."""
    values = validate_params(step_type, params)
    try:
        before = step_type.Outputs.model_validate(dict(outputs))
    except ValidationError as error:
        raise Refused(f"the recorded outputs of {step_type.name} do not fit its present version: {error}") from None
    await guard(ctx, f"undo of {step_type.name}", lambda: step_type.undo(ctx, values, before))


async def preview_step(step_type: AnyStepType, ctx: StepContext, params: Mapping[str, Any]) -> Preview:
    """Find out what a run would change."""
    values = validate_params(step_type, params)
    return await guard(ctx, f"preview of {step_type.name}", lambda: step_type.preview(ctx, values))


async def probe_step(step_type: AnyStepType, ctx: StepContext, params: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Ask what became of the interrupted attempt `key`: `{"answer", "outputs", "evidence"}` as JSON values."""
    values = validate_params(step_type, params)
    answer = await guard(ctx, f"probe of {step_type.name}", lambda: step_type.probe(ctx, values, key))
    outputs = None if answer.outputs is None else dump_outputs(step_type, answer.outputs)
    return {"answer": answer.state.value, "outputs": outputs, "evidence": answer.evidence}


async def recover_step(step_type: AnyStepType, ctx: StepContext, params: Mapping[str, Any], key: str) -> str:
    """Put in order what the interrupted attempt `key` left half done; returns what that was, at most 4,000 characters.

    Raises a StepError when it could not be done.
    """
    values = validate_params(step_type, params)
    said = await guard(ctx, f"recovery of {step_type.name}", lambda: step_type.recover(ctx, values, key))
    if not isinstance(said, str):
        raise StepFailed(
            f"recover() of {step_type.name} returned {type(said).__name__}, not what it did as a text:"
            " a fault of its plugin"
        )
    return said[:RECOVERY_TEXT_LIMIT]


async def check_available(step_type: AnyStepType, ctx: StepContext) -> Availability:
    """Say whether the host can run the step type now; a failing check is an unavailable step type, never an error."""
    try:
        return await guard(ctx, f"availability of {step_type.name}", lambda: step_type.available(ctx))
    except PluginApiError as error:
        return Availability(available=False, reason=str(error))


def invoker_from(lookup: Callable[[str], AnyStepType]) -> Invoker:
    """Return the Invoker over a lookup (raises Refused for an unknown name); effect `read` only, one level deep."""

    async def invoke(ctx: StepContext, name: str, params: Mapping[str, Any]) -> dict[str, Any]:
        step_type = lookup(name)
        if step_type.effect is not Effect.READ:
            raise Refused(f"{name} has effect {step_type.effect}; only step types of effect read run inside another")
        return await run_step(step_type, replace(ctx, invoker=refuse_to_invoke), params)

    return invoke


async def guard(ctx: StepContext, what: str, call: Callable[[], Awaitable[T]]) -> T:
    """Await the call; stop it when the attempt is cancelled or its deadline passes; turn its errors into ours."""
    ctx.checkpoint()
    work = asyncio.ensure_future(_as_coroutine(call()))
    cancelled = asyncio.ensure_future(ctx.cancel.wait())
    try:
        await asyncio.wait({work, cancelled}, timeout=ctx.remaining(), return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            return _result(work, what)
        reason: PluginApiError = DeadlineExceeded(f"{what} was still running at the attempt's deadline and was stopped")
        if cancelled.done():
            reason = StepCancelled(f"{what} was cancelled")
        reason.cut_off = not await _stop(work, ctx, what) or _says_cut_off(work)
        raise reason
    finally:
        cancelled.cancel()
        if not work.done():
            work.cancel()


async def _stop(work: "asyncio.Future[T]", ctx: StepContext, what: str) -> bool:
    """Cancel the work and wait a bounded time for its clean-up; says whether that came to its end."""
    work.cancel()
    started = time.monotonic()
    await asyncio.wait({work}, timeout=STOP_GRACE_SECONDS)
    if not work.done():
        ctx.log(f"{what} ignores that it should stop ({time.monotonic() - started:.0f} s); its process will be killed")
    elif not work.cancelled() and (error := work.exception()) and not isinstance(error, PluginApiError):
        ctx.log(f"{what} failed while it stopped: {type(error).__name__}: {error}")
    return work.done()


def _says_cut_off(work: "asyncio.Future[T]") -> bool:
    """Whether the work came to its end and says that its clean-up did not."""
    error = None if work.cancelled() else work.exception()
    return isinstance(error, PluginApiError) and error.cut_off


def _result(work: "asyncio.Future[T]", what: str) -> T:
    try:
        return work.result()
    except (StepError, StepCancelled):
        raise
    except asyncio.CancelledError:
        raise StepFailed(f"{what} cancelled itself: a fault of its plugin") from None
    except Exception as error:
        raise StepFailed(f"{what} failed: {type(error).__name__}: {error}") from error


async def _as_coroutine(awaitable: Awaitable[T]) -> T:
    return await awaitable


def _problem(detail: Any, known: list[str]) -> str:
    where = ".".join(str(part) for part in detail["loc"]) or "parameters"
    if detail["type"] == "extra_forbidden":
        close = difflib.get_close_matches(str(detail["loc"][-1]), known, n=1)
        hint = f", did you mean {close[0]}?" if close and len(detail["loc"]) == 1 else ""
        return f"{where} is unknown{hint}"
    if detail["type"] == "missing":
        return f"{where} is missing"
    return f"{where}: {detail['msg'].removeprefix('Value error, ')}"
