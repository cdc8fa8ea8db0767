"""The answer to "did the interrupted attempt do its work?"."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, Self, TypeVar

from pydantic import BaseModel

OutputsT = TypeVar("OutputsT", bound=BaseModel)


class ProbeState(StrEnum):
    """What a probe found."""

    DONE = "done"
    NOT_DONE = "not_done"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ProbeAnswer(Generic[OutputsT]):
    """One of three answers; make it with `done`, `not_done` or `unknown`.

    `done` carries the outputs that the attempt would have returned, so that the execution goes on as if it had.
    `not_done` allows another start: answer it only when nothing of the work happened or can still happen.
    `unknown` asks a person, who is shown `evidence`.
    """

    state: ProbeState
    outputs: OutputsT | None = None
    evidence: str = ""

    @classmethod
    def done(cls, outputs: OutputsT, evidence: str = "") -> Self:
        """The attempt did its work; here is what it would have returned."""
        return cls(ProbeState.DONE, outputs, evidence)

    @classmethod
    def not_done(cls, evidence: str = "") -> Self:
        """The attempt did nothing, and nothing of it is still at work."""
        return cls(ProbeState.NOT_DONE, None, evidence)

    @classmethod
    def unknown(cls, evidence: str) -> Self:
        """It cannot be told; `evidence` is what a person should know to decide."""
        return cls(ProbeState.UNKNOWN, None, evidence)
