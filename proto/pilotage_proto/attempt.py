"""The identity of an attempt: the unit of at-most-once, the same in journal, wire, store and digest."""

from enum import StrEnum
from typing import NamedTuple
from urllib.parse import quote, unquote


class AttemptKind(StrEnum):
    """Whether an attempt does its step's work or compensates for it."""

    RUN = "run"
    UNDO = "undo"


class AttemptKey(NamedTuple):
    """One try of one step run (SEMANTICS: identity of an attempt).

    `host` is empty for a step that runs on the coordinator outside a per-host group; `item` is empty without
    `for_each`; `attempt` counts from 1. Plan digest and epoch are fences beside the key, never part of it.
    A tuple, because a step looks dozens of things up by it.
    """

    execution: str
    path: str
    host: str
    item: str
    kind: AttemptKind
    attempt: int

    def __str__(self) -> str:
        """Return the one-line form that `parse_attempt_key` reads back: `exe_1/group.step/db1/item/run/1`."""
        fields = (self.execution, self.path.replace("/", "."), self.host, self.item)
        return "/".join([*(quote(field, safe="") for field in fields), self.kind, str(self.attempt)])


def parse_attempt_key(text: str) -> AttemptKey:
    """Read the one-line form of an attempt key; raises ValueError that quotes the text."""
    parts = text.split("/")
    try:
        execution, path, host, item, kind, attempt = parts
        return AttemptKey(
            execution=unquote(execution),
            path=unquote(path).replace(".", "/"),
            host=unquote(host),
            item=unquote(item),
            kind=AttemptKind(kind),
            attempt=int(attempt),
        )
    except ValueError as error:
        raise ValueError(f"{text!r} is no attempt key (execution/path/host/item/run|undo/number)") from error
