"""What a dummy can be asked to do."""

from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

from pilotage_plugin_api import Duration, SecretRef, Size, StepOutputs, StepParams
from pydantic import Field, JsonValue, model_validator


class Crash(StrEnum):
    """How the process of the attempt dies."""

    NONE = "none"
    EXIT = "exit"
    SIGKILL = "sigkill"


class DummyFailure(StrEnum):
    """The kinds of failure that a step can raise itself."""

    STEP = "step"
    INFRASTRUCTURE = "infrastructure"
    PARAMETER = "parameter"
    TARGET = "target"


class FixedAnswer(StrEnum):
    """What the probe says: what it finds in `finished`, or always the same."""

    FIND_OUT = "find_out"
    DONE = "done"
    NOT_DONE = "not_done"
    UNKNOWN = "unknown"


class DummyParams(StepParams):
    """The behaviour of a dummy, acted in the order of these fields."""

    write: Path | None = Field(None, description="Append a line 'KEY PID NANOSECONDS' here first: one line per start")
    secret_length: SecretRef | None = Field(None, description="A secret://name whose length goes into the outputs")
    children: int = Field(0, ge=0, le=100, description="Leave this many children that ignore SIGTERM")
    allocate: Size = Field(0, description="Fill this much memory and hold it")
    flood: Size = Field(0, description="Write this much to the log")
    log: tuple[str, ...] = Field((), description="Log these lines")
    progress: int = Field(0, ge=0, le=100_000, description="Report progress this many times, spread over the sleep")
    sleep: Duration = Field(timedelta(0), description="Sleep this long")
    hang: bool = Field(False, description="Wait for ever, but stop when cancelled")
    ignore_cancel: bool = Field(False, description="While sleeping or hanging, ignore cancellation and deadline")
    block: bool = Field(False, description="Sleep or hang in a way that stops the event loop of the worker")
    counter: Path | None = Field(None, description="Where starts are counted, for `fail` and `crash_times`")
    crash: Crash = Field(Crash.NONE, description="Die without an outcome, after everything above")
    crash_times: int = Field(1_000_000, ge=1, description="Crash only for the first so many starts")
    fail: int = Field(0, ge=-1, description="Fail the first so many starts; -1: always")
    fail_kind: DummyFailure = DummyFailure.STEP
    fail_message: str = "the dummy was asked to fail"
    finished: Path | None = Field(None, description="Append the key here when all is done; the probe looks here")
    outputs: dict[str, JsonValue] = Field(default_factory=dict, description="Return these as `values`")
    answer: FixedAnswer = Field(FixedAnswer.FIND_OUT, description="What the probe answers")
    mess: Path | None = Field(
        None, description="Make this file at the start and take it away at the end; of an effect that recovers, only"
    )
    recover_write: Path | None = Field(None, description="A recovery appends a line here")
    recover_sleep: Duration = Field(timedelta(0), description="A recovery takes so long")
    recover_fail: int = Field(0, ge=-1, description="A recovery fails the first so many times; -1: always")
    undo_write: Path | None = Field(None, description="Undo appends a line here")
    undo_fail: int = Field(0, ge=-1, description="Undo fails the first so many times; -1: always")

    @model_validator(mode="after")
    def _counting_needs_a_place(self) -> "DummyParams":
        some_crash = self.crash is not Crash.NONE and self.crash_times < 1_000_000
        counted = some_crash or max(self.fail, self.undo_fail, self.recover_fail) > 0
        if counted and self.counter is None:
            raise ValueError("counting starts needs a file: give counter")
        return self


class DummyOutputs(StepOutputs):
    """What a dummy returns: the values it was given, and the start's number when starts are counted."""

    values: dict[str, Any] = Field(default_factory=dict)
    start: int = 0
    secret_bytes: int | None = None
