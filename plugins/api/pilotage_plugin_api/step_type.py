"""The one class that a plugin author writes: a step type, one verb such as `backup.create`."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, Self, TypeVar

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from pilotage_plugin_api.context import StepContext
from pilotage_plugin_api.effect import Effect
from pilotage_plugin_api.errors import Refused
from pilotage_plugin_api.preview import Preview
from pilotage_plugin_api.probe import ProbeAnswer


class StepParams(BaseModel):
    """The base for parameters: unknown names are refused, values are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    one_of: ClassVar[tuple[str, ...]] = ()
    """Names of optional parameters of which exactly one must be given; it goes into the schema, so plans check it."""

    @model_validator(mode="after")
    def _has_one_of(self) -> Self:
        given = [name for name in self.one_of if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"give only one of {', '.join(given)}")
        if self.one_of and not given:
            raise ValueError(f"one of {', '.join(self.one_of)} is needed")
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Describe the parameters, and the choice among them."""
        schema = handler.resolve_ref_schema(handler(core_schema))
        if cls.one_of:
            schema["oneOf"] = [{"required": [name]} for name in cls.one_of]
        return schema


class StepOutputs(BaseModel):
    """The base for outputs: what later steps see as `steps.ID.outputs`. At most 64 KiB as JSON."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True, slots=True)
class Availability:
    """Whether this host can run the step type now; `reason` names what is missing and how to get it."""

    available: bool
    reason: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


ParamsT = TypeVar("ParamsT", bound=BaseModel)
OutputsT = TypeVar("OutputsT", bound=BaseModel)


class StepType(ABC, Generic[ParamsT, OutputsT]):
    """One verb that hosts can run. The class docstring is its documentation: its first paragraph is shown in lists.

    Who calls what. An instance is made once per process and holds no state of an attempt; every call gets its own
    `StepContext` and already validated parameters, in a child process of the agent. Only `run`, `undo` and `recover`
    may change anything. Calls of one attempt never overlap; calls of different attempts may.

    Cancellation. When the attempt is cancelled or its deadline passes, the running task gets
    `asyncio.CancelledError` at its next await; programs started by `ctx.program` are killed with their whole group.
    Clean up in `finally`, then let the error pass. Never block the event loop: use `asyncio.to_thread`, in slices
    that check `ctx.checkpoint()`.

    Retries. Never retry inside unless the reason is known and bounded; the blueprint's `retry_policy` retries by the
    kind of the error raised (see `errors`). Any other exception counts as kind `step`.
    """

    name: ClassVar[str]
    """`plugin.verb`, lower case: `backup.create`. Unique on a host."""

    Params: type[ParamsT]
    """The parameters; unknown fields forbidden at every level (registration checks it)."""

    Outputs: type[OutputsT]
    """The outputs."""

    effect: ClassVar[Effect] = Effect.ONCE
    """What may happen after an interrupted attempt."""

    destructive: ClassVar[bool] = False
    """Destroys what cannot be had back; lists of step types mark it, and hosts that pin approvers want it signed."""

    author_effects: ClassVar[frozenset[Effect]] = frozenset()
    """Which effects a blueprint's author may declare instead, because only he knows what his command does."""

    @abstractmethod
    async def run(self, ctx: StepContext, params: ParamsT) -> OutputsT:
        """Do the work and return the outputs; raise a `StepError` when it fails."""

    async def preview(self, ctx: StepContext, params: ParamsT) -> Preview:
        """Say what `run` would change, changing nothing; feeds the plan."""
        return Preview(complete=False, note=f"{self.name} does not preview its changes")

    async def undo(self, ctx: StepContext, params: ParamsT, outputs: OutputsT) -> None:
        """Compensate a run that succeeded with these outputs. Must be idempotent: a crash may repeat it.

        Leave it out when there is nothing sensible to undo; the plan then says so.
        """
        raise Refused(
            f"{self.name} has no undo: give the blueprint a rollback_plan action, or mark the step undo: none"
        )

    async def probe(self, ctx: StepContext, params: ParamsT, key: str) -> ProbeAnswer[OutputsT]:
        """Find out whether the interrupted attempt `key` did its work. Needed for effect `probe` only.

        `key` is the `ctx.attempt_key` that the interrupted `run` saw. Changes nothing.
        """
        raise Refused(f"{self.name} cannot probe an interrupted attempt")

    async def recover(self, ctx: StepContext, params: ParamsT, key: str) -> str:
        """Put in order what the attempt `key` left half done when its process was ended in the middle; return, in a
        sentence, what that was, empty when there was nothing. For step types that put something out of order for a
        while: a container that is paused, one that was stopped before its successor is proven.

        `key` is the `ctx.attempt_key` that the interrupted `run` saw. The agent calls it in a process of its own,
        with the attempt's parameters and secrets, when the attempt's process is gone, and before anybody is told how
        the attempt ended; after it, `probe` is asked. It may be called for an attempt that did all its work, and must
        leave that work alone, except with effect idempotent, where the attempt is made again or not wanted; it may be
        called again after it was itself cut off, also when it had finished; and it must not touch what another
        attempt, which may be at work, has done. It keeps in mind nothing but what `run` wrote down before it changed
        anything. It has a quarter of an hour, and raises a `StepError` when it cannot succeed: it is tried again for a
        minute or so, then the attempt is `unknown`, and a person reads the error.

        Needs `PILOTAGE_API = (…, 2)` or newer: agents that speak only version 1 never call it.
        """
        raise Refused(f"{self.name} leaves nothing half done that it could put in order")

    async def available(self, ctx: StepContext) -> Availability:
        """Say whether this host can run the step type now. Quick (a second at most), changes nothing, no secrets."""
        return Availability(available=True)
