"""Secret values are looked for once more when an agent's words arrive: an agent may be old, broken or hostile."""

import json
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from pilotage_proto.attempt import AttemptKey
from pilotage_proto.redaction import MASK, Redactor

from pilotage_coordinator.domain.errors import DomainError
from pilotage_coordinator.domain.fleet import AttemptReport, LogPiece
from pilotage_coordinator.domain.plan import Json
from pilotage_coordinator.runtime.secrets import SecretVault, secret_names
from pilotage_coordinator.security.errors import SecurityError

MOST_KNOWN = 5_000
"""Attempts whose secrets are kept at hand; the others are looked up again."""
SHORT_MASK = b"***"
"""No longer than the shortest value that is looked for, so that a log line never grows."""


class UnknownAttempt(Exception):
    """The agent speaks of an attempt that was never assigned."""


Parameters: TypeAlias = Callable[[AttemptKey], Awaitable[Mapping[str, Json]]]
"""Tells what an attempt was given; raises UnknownAttempt."""


@dataclass(slots=True)
class SecondRedaction:
    """Knows the secrets that recent attempts were given: the last log lines of one may come after its end."""

    vault: SecretVault
    _redactors: OrderedDict[AttemptKey, Redactor | None] = field(default_factory=OrderedDict)

    async def report(self, report: AttemptReport, parameters: Parameters) -> AttemptReport:
        """Return the report without the values of the attempt's secrets."""
        redactor = await self._redactor(report.key, parameters)
        if redactor is None:
            return report
        outputs, evidence = redactor.value(report.outputs), redactor.value(report.evidence)
        return replace(report, outputs=outputs, evidence=evidence, error=redactor.text(report.error))

    async def log(self, piece: LogPiece, parameters: Parameters) -> LogPiece:
        """Return the piece without the values; its length stays, because offsets are the agent's."""
        redactor = await self._redactor(piece.key, parameters)
        if redactor is None or redactor.data(piece.data) == piece.data:
            return piece
        return replace(piece, data=b"".join(_same_length(redactor, line) for line in piece.data.splitlines(True)))

    async def _redactor(self, key: AttemptKey, parameters: Parameters) -> Redactor | None:
        if key in self._redactors:
            self._redactors.move_to_end(key)
            return self._redactors[key]
        made = await self._make(secret_names(await parameters(key)))
        self._redactors[key] = made
        while len(self._redactors) > MOST_KNOWN:
            self._redactors.popitem(last=False)
        return made

    async def _make(self, names: frozenset[str]) -> Redactor | None:
        values: list[bytes] = []
        for name in names:
            try:
                values += await self.vault.values(name)
            except (DomainError, SecurityError):
                # Of another key, for instance: what cannot be read cannot be looked for.
                continue
        return Redactor(values) if values else None


def _same_length(redactor: Redactor, line: bytes) -> bytes:
    """Return the line without the values, filled with spaces; a record stays one whenever it fits into its place."""
    body = line.rstrip(b"\n")
    end = line[len(body) :]
    if (record := _record(redactor, body)) is not None and len(record) <= len(body):
        return record.ljust(len(body)) + end
    return _short(redactor.data(body)).ljust(len(body)) + end


def _record(redactor: Redactor, body: bytes) -> bytes | None:
    """Return an NDJSON record with its text redacted: a value such as 1764 must not tear its numbers apart."""
    try:
        match json.loads(body):
            case {"t": int(when), "s": "step" | "stdout" | "stderr" as stream, "m": str(text), **more} if not more:
                kept = {"t": when, "s": stream, "m": redactor.text(text)}
                # The shortest form, as it has to fit into the place of the old one.
                return _short(json.dumps(kept, ensure_ascii=False, separators=(",", ":")).encode())
    except (ValueError, RecursionError):
        return None
    return None


def _short(data: bytes) -> bytes:
    return data.replace(MASK.encode(), SHORT_MASK)
