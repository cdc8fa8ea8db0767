"""`wait.until`: ask again until the answer is good."""

import json
from datetime import timedelta
from typing import Any

from pilotage_plugin_api import (
    DeadlineExceeded,
    Duration,
    Effect,
    FailureKind,
    StepContext,
    StepError,
    StepFailed,
    StepOutputs,
    StepParams,
    StepType,
)
from pydantic import Field, JsonValue, field_validator

OUTPUTS_JSON_LIMIT = 60 * 1024


class Check(StepParams):
    """The step type that is asked; its effect must be read."""

    type: str = Field(description="A step type of effect read, such as http.check")
    parameters: dict[str, JsonValue] = Field(default_factory=dict, json_schema_extra={"format": "pilotage-secret"})


class WaitUntilParams(StepParams):
    """What to ask, how often, and for how long."""

    check: Check
    every: Duration = Field(timedelta(seconds=5), description="Pause between two checks")
    within: Duration = Field(timedelta(minutes=5), description="Give up after this long")

    @field_validator("every")
    @classmethod
    def _not_in_a_tight_loop(cls, every: timedelta) -> timedelta:
        if every < timedelta(milliseconds=10):
            raise ValueError("is shorter than 10ms")
        return every


class WaitUntilOutputs(StepOutputs):
    """How long it took. `outputs` are those of the check that succeeded, None when they are above 60 KiB."""

    checks: int
    seconds: float
    outputs: dict[str, Any] | None


class WaitUntil(StepType[WaitUntilParams, WaitUntilOutputs]):
    """Run a check again and again until it succeeds, and fail with its last error when time is up.

    Wrong parameters of the check fail at once, as no waiting heals them.
    """

    name = "wait.until"
    effect = Effect.READ
    Params = WaitUntilParams
    Outputs = WaitUntilOutputs

    async def run(self, ctx: StepContext, params: WaitUntilParams) -> WaitUntilOutputs:
        """Check, sleep, check again."""
        started, within = ctx.clock(), params.within.total_seconds()
        waiting = ctx.within(within)
        last, checks = "it was never answered", 0
        while True:
            checks += 1
            try:
                outputs = await waiting.invoke(params.check.type, params.check.parameters)
                break
            except DeadlineExceeded as error:
                ctx.checkpoint()
                last = last if checks > 1 else str(error)
            except StepError as error:
                if error.kind in (FailureKind.PARAMETER, FailureKind.POLICY):
                    raise
                last = str(error)
                ctx.log(f"check {checks}: {last}")
            left = within - (ctx.clock() - started)
            ctx.progress(min(1.0, 1 - left / within) if within else None, last[:200])
            if left <= params.every.total_seconds():
                raise StepFailed(f"{params.check.type} did not succeed within {params.within}, {checks} times: {last}")
            await ctx.sleep(params.every.total_seconds())
        size = len(json.dumps(outputs, ensure_ascii=False).encode())
        return WaitUntilOutputs(
            checks=checks,
            seconds=round(ctx.clock() - started, 3),
            outputs=outputs if size <= OUTPUTS_JSON_LIMIT else None,
        )
