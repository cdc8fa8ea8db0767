"""An external policy engine, asked over HTTP in the form of OPA's data API: `{"input": …}` gets `{"result": …}`.

It is asked about a whole plan, when it is made and when it is started; never before single steps, where the time of an
answer would hold up the fleet. It can only be stricter than the rules. Whatever is not a clear answer is a no.
"""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx

from pilotage_coordinator.domain.plan import Json, Plan, StepKind
from pilotage_coordinator.domain.planning.every_step import all_steps, hosts_of
from pilotage_coordinator.domain.planning.json_form import plain
from pilotage_coordinator.domain.policy.rule import Decision, External
from pilotage_coordinator.domain.policy.ruling import Asking
from pilotage_coordinator.domain.values import SECOND, write_duration

LARGEST_ANSWER: Final = 64 * 1024
_LONGEST_REASON: Final = 500


@dataclass(frozen=True, slots=True)
class ExternalAnswer:
    """What the engine decided, and why in its words; of no clear answer, deny and what was wrong with it."""

    decision: Decision
    reason: str = ""


class _Unclear(Exception):
    """There is no answer, or none that can be understood."""


def ask_external(external: External, plan: Plan, asking: Asking) -> ExternalAnswer:
    """Ask the engine about a plan. Waits at most its timeout, so callers run it in a thread; never raises."""
    body = json.dumps({"input": plain(_input(plan, asking))}).encode()
    try:
        return _understood(_post(external, body))
    except _Unclear as unclear:
        return ExternalAnswer(Decision.DENY, f"{external.url} gave no answer that counts: {unclear}")


def _input(plan: Plan, asking: Asking) -> Mapping[str, Json]:
    asker, change, hosts = asking.asker, asking.change, hosts_of(plan)
    steps: list[Json] = [
        {
            "path": step.path,
            "type": step.type.name if step.type is not None else "",
            "effect": step.effect.value,
            "destructive": step.destructive,
            "irreversible": step.irreversible,
            "hosts": [host for host in hosts.get(step.path, ()) if host],
        }
        for step in all_steps(plan)
        if step.kind is StepKind.LEAF
    ]
    return {
        "stage": asking.stage.value,
        "asker": {"principal": asker.principal, "kind": asker.kind, "roles": sorted(asker.roles)},
        "change": {"class": change.change_class.value if change.change_class is not None else ""},
        "blueprint": {
            "id": plan.blueprint.id,
            "version": plan.blueprint.version,
            "digest": plan.blueprint.digest,
            "category": plan.category,
            "stored": not plan.policy.sent,
        },
        "parameters": plan.parameters,
        "targets": list(plan.targets),
        "steps": steps,
    }


def _post(external: External, body: bytes) -> Any:
    """Return the JSON of the answer. The bound is on all of it: an engine that drips its answer is cut off too."""
    seconds = external.timeout / SECOND
    end = time.monotonic() + seconds
    found = bytearray()
    try:
        with (
            httpx.Client(follow_redirects=False, trust_env=False, timeout=seconds) as client,
            client.stream("POST", external.url, content=body, headers={"Content-Type": "application/json"}) as answer,
        ):
            if answer.status_code != httpx.codes.OK:
                raise _Unclear(f"it answered {answer.status_code}")
            for piece in _within(answer, end):
                found += piece
                if len(found) > LARGEST_ANSWER:
                    raise _Unclear(f"its answer is larger than {LARGEST_ANSWER} bytes")
    except httpx.TimeoutException as error:
        raise _Unclear(f"nothing came within {write_duration(external.timeout)}") from error
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise _Unclear(f"it cannot be reached ({type(error).__name__})") from error
    try:
        return json.loads(found)
    except (ValueError, RecursionError) as error:
        raise _Unclear("its answer is no JSON") from error


def _within(answer: httpx.Response, end: float) -> Iterator[bytes]:
    for piece in answer.iter_bytes():
        if time.monotonic() > end:
            raise _Unclear("its answer took too long")
        yield piece


def _understood(answer: Any) -> ExternalAnswer:
    result = answer.get("result") if isinstance(answer, Mapping) else None
    if isinstance(result, bool):
        return ExternalAnswer(Decision.ALLOW if result else Decision.DENY)
    if not isinstance(result, Mapping):
        raise _Unclear("it decided nothing (there is no `result`)")
    try:
        decision = Decision(str(result.get("decision")))
    except ValueError as error:
        raise _Unclear(f"`result.decision` is none of {', '.join(Decision)}") from error
    reasons = result.get("reasons", [])
    said = "; ".join(str(each) for each in reasons) if isinstance(reasons, list) else str(reasons)
    return ExternalAnswer(decision, said[:_LONGEST_REASON])
