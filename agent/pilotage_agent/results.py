"""Making the results of attempts: bounded texts, canonical outputs, and the digest that both sides recompute."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from pilotage_proto.attempt import AttemptKey
from pilotage_proto.canonical import CanonicalError, canonical
from pilotage_proto.limits import LARGEST_EVIDENCE, LARGEST_JSON, LARGEST_OUTPUTS
from pilotage_proto.result import result_digest

from pilotage_agent.messages import FailureKind, Outcome, QueryAnswer, Result

ERROR_LIMIT: Final = 4_000
"""Characters of an error text, so that it stays below 16 KiB as UTF-8; the middle of a longer one is cut."""


def bounded(text: str, limit: int = ERROR_LIMIT) -> str:
    """Return the text with its middle cut when it is longer than `limit` characters; lone surrogates are replaced."""
    text = text.encode("utf-8", "replace").decode()
    if len(text) <= limit:
        return text
    half = limit // 2 - 20
    return f"{text[:half]} [... {len(text) - 2 * half} characters cut ...] {text[-half:]}"


def make_result(
    key: AttemptKey,
    epoch: int,
    outcome: Outcome,
    *,
    outputs: Mapping[str, Any] | None = None,
    failure_kind: FailureKind | None = None,
    error: str = "",
    started_at: int = 0,
    ended_at: int = 0,
    evidence: Mapping[str, Any] | None = None,
) -> Result:
    """Build a result whose digest fits. Outputs without a canonical form, or too large, make a failure of a success."""
    error = bounded(error)
    try:
        body = _body(outputs or {})
    except CanonicalError as problem:
        body = b"{}"
        outcome, failure_kind = Outcome.FAILED, FailureKind.STEP
        error = f"the outputs cannot be recorded: {problem}"
    return Result(
        key=key,
        epoch=epoch,
        outcome=outcome,
        outputs=body,
        digest=result_digest(outcome.value, error, body),
        failure_kind=failure_kind,
        error=error,
        started_at=started_at,
        ended_at=ended_at,
        evidence=_evidence(evidence or {}),
    )


def _body(outputs: Mapping[str, Any]) -> bytes:
    """Return the canonical form of outputs that a coordinator takes; raises CanonicalError."""
    body = canonical(dict(outputs))
    if len(body) > LARGEST_OUTPUTS:
        # Larger than when the step returned them: what stands in the place of short secrets is longer than they are.
        raise CanonicalError(f"they take {len(body)} bytes, the limit is {LARGEST_OUTPUTS}")
    return body


def fitting(answer: QueryAnswer) -> QueryAnswer:
    """Return the answer to a query as it can be sent: one that is too large becomes an error that says so."""
    if len(answer.answer) > LARGEST_JSON:
        text = f"the answer takes {len(answer.answer)} bytes, at most {LARGEST_JSON} can be sent"
        return QueryAnswer(answer.query_id, False, b"", FailureKind.STEP, text)
    return replace(answer, error=bounded(answer.error))


def add_evidence(result: Result, more: Mapping[str, Any]) -> Result:
    """Return the result with more evidence; the digest does not cover it."""
    return replace(result, evidence=_evidence({**json.loads(result.evidence or b"{}"), **more}))


def _evidence(values: Mapping[str, Any]) -> bytes:
    body = json.dumps(values, ensure_ascii=True).encode()
    if len(body) <= LARGEST_EVIDENCE:
        return body
    small = {name: value for name, value in values.items() if name != "log"}
    body = json.dumps({**small, "cut": True}).encode()
    return body if len(body) <= LARGEST_EVIDENCE else b'{"cut": true}'
