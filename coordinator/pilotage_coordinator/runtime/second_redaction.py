"""Secret values are looked for once more when an agent's words arrive: an agent may be old, broken or hostile."""

from dataclasses import dataclass, field, replace

from pilotage_proto.attempt import AttemptKey

from pilotage_coordinator.domain.errors import DomainError
from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_coordinator.domain.execution.state import ExecutionState
from pilotage_coordinator.domain.fleet import AttemptReport, LogPiece
from pilotage_coordinator.runtime.secrets import SecretVault, secret_names
from pilotage_coordinator.security.errors import SecurityError
from pilotage_coordinator.security.redaction import MASK, Redactor

SHORT_MASK = b"***"
"""No longer than the shortest value that is looked for, so that a log line never grows."""


@dataclass(slots=True)
class SecondRedaction:
    """Knows the secrets that attempts of running executions were given."""

    vault: SecretVault
    _redactors: dict[str, dict[AttemptKey, Redactor]] = field(default_factory=dict)
    """By execution: the last log lines of an attempt may come after its end."""

    def forget(self, execution: str) -> None:
        """Drop the values of an execution that is over."""
        self._redactors.pop(execution, None)

    async def report(self, state: ExecutionState, report: AttemptReport) -> AttemptReport:
        """Return the report without the values of the attempt's secrets."""
        redactor = await self._redactor(state, report.key)
        if redactor is None:
            return report
        outputs, evidence = redactor.redact_json(report.outputs), redactor.redact_json(report.evidence)
        assert isinstance(outputs, dict)
        assert isinstance(evidence, dict)
        return replace(report, outputs=outputs, evidence=evidence, error=redactor.redact_text(report.error))

    async def log(self, state: ExecutionState, piece: LogPiece) -> LogPiece:
        """Return the piece without the values; its length stays, because offsets are the agent's."""
        redactor = await self._redactor(state, piece.key)
        if redactor is None or redactor.redact(piece.data) == piece.data:
            return piece
        return replace(piece, data=b"".join(_same_length(redactor, line) for line in piece.data.splitlines(True)))

    async def _redactor(self, state: ExecutionState, key: AttemptKey) -> Redactor | None:
        known = self._redactors.get(key.execution, {}).get(key)
        if known is not None:
            return known
        made = await self._make(state, key)
        if made is not None:
            self._redactors.setdefault(key.execution, {})[key] = made
        return made

    async def _make(self, state: ExecutionState, key: AttemptKey) -> Redactor | None:
        attempt = state.open.get(RunKey(key.path, key.host, key.item))
        names = secret_names(attempt.parameters) if attempt is not None else frozenset()
        values = []
        for name in names:
            try:
                values.append(await self.vault.reveal(name))
            except (DomainError, SecurityError):
                # Removed or replaced meanwhile: what is not known any more cannot be looked for.
                continue
        return Redactor(values) if values else None


def _same_length(redactor: Redactor, line: bytes) -> bytes:
    body = line.rstrip(b"\n")
    return redactor.redact(body).replace(MASK, SHORT_MASK).ljust(len(body)) + line[len(body) :]
