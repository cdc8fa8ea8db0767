"""Calling a step type for a job, through the plugin API's one way, and turning what comes back into words."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pilotage_plugin_api import Refused, StepCancelled, StepContext, StepError, StepType
from pilotage_plugin_api.catalogue import (
    BUILTIN_DISTRIBUTION,
    Catalogue,
    effects_allowed,
    installed_plugins,
    load_catalogue,
)
from pilotage_plugin_api.context import Reporter, Secrets
from pilotage_plugin_api.invocation import (
    invoker_from,
    outputs_of_failure,
    preview_step,
    probe_step,
    recover_step,
    run_step,
    undo_step,
)
from pilotage_plugin_api.program import CancelSignal
from pilotage_proto.attempt import parse_attempt_key

from pilotage_agent.messages import Effect, FailureKind, Outcome, Result
from pilotage_agent.results import make_result
from pilotage_agent.runner.job import Job, Purpose
from pilotage_agent.runner.memory import limit_text


class StepTypes:
    """The step types of this process: the built-in ones at hand, strangers' loaded when the first is asked for."""

    def __init__(self, builtin: Catalogue) -> None:
        self._builtin = builtin
        self._all: Catalogue | None = None

    def get(self, name: str) -> StepType[Any, Any]:
        """Return a step type; raises Refused when no plugin brings it."""
        if found := self._builtin.step_types.get(name):
            return found.step_type
        if self._all is None:
            self._all = load_catalogue()
        return self._all.get(name)


@dataclass(frozen=True, slots=True)
class Called:
    """What a call came to. `clean` is false when the process should not be used again; `cut_off` says that the step
    was told to stop and did not come to the end of its clean-up."""

    outcome: Outcome
    outputs: Mapping[str, Any] = field(default_factory=dict)
    failure_kind: FailureKind | None = None
    error: str = ""
    clean: bool = True
    cut_off: bool = False

    @property
    def ok(self) -> bool:
        return self.outcome is Outcome.SUCCEEDED

    @classmethod
    def failed(cls, error: str, kind: FailureKind = FailureKind.STEP, *, clean: bool = True) -> "Called":
        """A failure, by default the step's own."""
        return cls(Outcome.FAILED, {}, kind, error, clean)

    def result(self, job: Job, outputs: Mapping[str, Any], error: str, ended_at: int) -> Result:
        """Return it as the attempt's result, with outputs and error as redacted."""
        return make_result(
            parse_attempt_key(job.key),
            0,
            self.outcome,
            outputs=outputs,
            failure_kind=self.failure_kind,
            error=error,
            started_at=job.started_at,
            ended_at=ended_at,
        )


async def call_step(
    job: Job,
    scratch: Path,
    reporter: Reporter,
    secrets: Secrets,
    cancel: CancelSignal,
    deadline: float | None,
    step_types: StepTypes,
) -> Called:
    """Do what the job asks; never raises for what a step type does."""
    step_type: StepType[Any, Any] | None = None
    try:
        step_type = step_types.get(job.step_type)
        check_effect(step_type, job)
        parameters = _object(job.parameters, "parameters")
        facts = {**json.loads(job.facts), "vars": _object(job.host_variables, "host variables")}
        ctx = StepContext(
            attempt_key=job.key,
            host=job.host,
            scratch=scratch,
            reporter=reporter,
            secrets=secrets,
            cancel=cancel,
            deadline=deadline,
            facts=facts,
            invoker=invoker_from(step_types.get),
        )
        return Called(Outcome.SUCCEEDED, await _call(job, step_type, ctx, parameters))
    except StepCancelled as stopped:
        return Called(Outcome.CANCELLED, error=str(stopped), clean=False, cut_off=stopped.cut_off)
    except StepError as failure:
        found = outputs_of_failure(step_type, failure) if step_type is not None and job.purpose is Purpose.RUN else {}
        kind = FailureKind(failure.kind.value)
        refused = job.memory_bytes and isinstance(failure.__cause__, MemoryError)
        bound = f"no more than {limit_text(job.memory_bytes)}" if refused else ""
        return Called(Outcome.FAILED, found, kind, f"{failure}{bound}", cut_off=failure.cut_off)
    except Exception as error:
        return Called.failed(f"{job.step_type} failed: {type(error).__name__}: {error}", clean=False)


def _object(text: str, what: str) -> dict[str, Any]:
    """Return what a coordinator sent as JSON; raises Refused."""
    try:
        value = json.loads(text or "{}")
    except (ValueError, RecursionError) as error:
        raise Refused(f"the {what} that came with this attempt are no JSON: {error}") from None
    if not isinstance(value, dict):
        raise Refused(f"the {what} that came with this attempt are no JSON object")
    return value


def check_effect(step_type: StepType[Any, Any], job: Job) -> None:
    """Refuse a job that promises less care than its step type demands; raises Refused."""
    if job.purpose is Purpose.READ and step_type.effect.value != Effect.READ:
        raise Refused(f"{job.step_type} has effect {step_type.effect}, so it cannot be run while planning")
    if job.purpose is Purpose.RUN and job.effect not in {effect.value for effect in effects_allowed(step_type)}:
        raise Refused(f"{job.step_type} cannot be run with effect {job.effect}; its own is {step_type.effect}")


async def _call(job: Job, step_type: StepType[Any, Any], ctx: StepContext, parameters: Any) -> Mapping[str, Any]:
    match job.purpose:
        case Purpose.RUN | Purpose.READ:
            return await run_step(step_type, ctx, parameters)
        case Purpose.UNDO:
            await undo_step(step_type, ctx, parameters, _object(job.outputs, "outputs"))
            return {}
        case Purpose.PROBE:
            return await probe_step(step_type, ctx, parameters, job.key)
        case Purpose.RECOVER:
            return {"evidence": await recover_step(step_type, ctx, parameters, job.key)}
        case Purpose.PREVIEW:
            preview: dict[str, Any] = (await preview_step(step_type, ctx, parameters)).model_dump(mode="json")
            return preview


def builtin_catalogue() -> Catalogue:
    """Load the built-in step types only; strangers' code is never imported into the zygote."""
    return Catalogue(
        step_types={
            name: found
            for name, found in load_catalogue(_builtin_plugins()).step_types.items()
            if found.origin.distribution == BUILTIN_DISTRIBUTION
        }
    )


def _builtin_plugins() -> list[Any]:
    return [entry for entry in installed_plugins() if entry.dist and entry.dist.name.lower() == BUILTIN_DISTRIBUTION]
