"""What a worker is told to do, as one JSON message from the agent."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from pilotage_agent.runner.step_log import KEPT


class Purpose(StrEnum):
    """What is wanted of the step type."""

    RUN = "run"
    UNDO = "undo"
    PROBE = "probe"
    RECOVER = "recover"
    PREVIEW = "preview"
    READ = "read"

    @property
    def is_attempt(self) -> bool:
        """Whether this is a journaled attempt, which leaves an outcome file."""
        return self in (Purpose.RUN, Purpose.UNDO)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One call of a step type. `folder` is the path of the attempt's record, `entry` its
    journal entry. `key` is the attempt's one-line key, or a name for a question.

    JSON values travel as text, so that only the worker parses them. `timeout_ms` 0 means none, `memory_bytes` 0 none.
    `log_bytes`: what is kept of the attempt's log.
    `durable`: the outcome file must survive a power cut. `alone`: the record of an attempt that is over, for which only
    one process at a time may be at work; empty for no such bound.
    """

    purpose: Purpose
    key: str
    host: str
    folder: str
    step_type: str
    effect: str
    entry: str = ""
    parameters: str = "{}"
    outputs: str = ""
    secrets: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    sensitive_outputs: tuple[str, ...] = ()
    host_variables: str = "{}"
    facts: str = "{}"
    started_at: int = 0
    timeout_ms: int = 0
    memory_bytes: int = 0
    log_bytes: int = KEPT
    durable: bool = True
    alone: str = ""
    reuse: bool = False

    def to_message(self) -> dict[str, Any]:
        """Return the message for the worker."""
        return {
            "purpose": self.purpose.value,
            "key": self.key,
            "host": self.host,
            "folder": self.folder,
            "step_type": self.step_type,
            "effect": self.effect,
            "entry": self.entry,
            "parameters": self.parameters,
            "outputs": self.outputs,
            "secrets": {name: base64.b64encode(value).decode() for name, value in self.secrets.items()},
            "sensitive_outputs": list(self.sensitive_outputs),
            "host_variables": self.host_variables,
            "facts": self.facts,
            "started_at": self.started_at,
            "timeout_ms": self.timeout_ms,
            "memory_bytes": self.memory_bytes,
            "log_bytes": self.log_bytes,
            "durable": self.durable,
            "alone": self.alone,
            "reuse": self.reuse,
        }

    @classmethod
    def from_message(cls, message: dict[str, Any]) -> "Job":
        """Read what `to_message` made."""
        return cls(
            **{
                **message,
                "purpose": Purpose(message["purpose"]),
                "secrets": {name: base64.b64decode(value) for name, value in message["secrets"].items()},
                "sensitive_outputs": tuple(message["sensitive_outputs"]),
            }
        )
