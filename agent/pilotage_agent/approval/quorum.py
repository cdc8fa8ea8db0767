"""Whether enough of the keys that this host knows have signed that the plan may run. Pure but for the signatures.

Who may decide, and how many of them it takes, is this host's own setting; nothing that a coordinator says changes it.
"""

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pilotage_proto.approval_id import approval_id
from pilotage_proto.decision import NAMESPACE, Statement

from pilotage_agent.approval.errors import Unapproved
from pilotage_agent.messages import SignedApproval

AHEAD: Final = 24 * 3_600 * 1_000_000
"""How far the coordinator's clock may be ahead of this host's, in µs."""
MOST_KEPT: Final = 1_000
"""Signatures of one plan whose check is remembered."""
HOUR: Final = 3_600 * 1_000_000
_SIGNATURES: Final = "pilotage_proto.sshsig"
"""Imported with the first signature that is checked: its libraries stay in memory."""


@dataclass(frozen=True, slots=True)
class Pins:
    """Whom this host believes: public keys as `TYPE BASE64`, how many of them must agree, and for how long after people
    were asked that counts."""

    keys: frozenset[str]
    quorum: int = 1
    most_hours: int = 168


@dataclass(slots=True)
class Checked:
    """Signatures that were checked before: a signature costs more than all the rest. Of one plan."""

    known: dict[tuple[str, str, str], bool] = field(default_factory=dict)
    """Request, key and signature to what came out."""


def approved(
    execution: str,
    plan: str,
    approvals: Sequence[SignedApproval],
    guards: Sequence[str],
    pins: Pins,
    checked: Checked,
    is_current: Callable[[int], str],
) -> tuple[str, ...]:
    """Return the ids of the approvals that a step with these guards rests on; of several the newest.

    Every guard, a gate that stands before the step, must be open; where there is none, any gate of the execution.
    `is_current`: why an approval asked at a time does not count any more (empty: it does). Raises Unapproved.
    """
    found: dict[str, str] = {}
    missing: dict[str, str] = {}
    for each in sorted(approvals, key=lambda one: one.number, reverse=True):
        if each.gate in found or (guards and each.gate not in guards):
            continue
        id = approval_id(execution, each.gate, each.number, each.asked_at)
        if why := is_current(each.asked_at):
            missing.setdefault(each.gate, f"{id} {why}")
            continue
        signed = _signers(Statement(id, "approve", plan), each.signatures, pins.keys, checked)
        if len(signed) >= pins.quorum:
            found[each.gate] = id
        else:
            missing.setdefault(
                each.gate, f"{id} has {len(signed)} of the {pins.quorum} signatures that this host wants"
            )
    needed = guards or sorted(found)[:1]
    lacking = [gate for gate in needed if gate not in found]
    if needed and not lacking:
        return tuple(sorted(found[gate] for gate in needed))
    why = next(
        (missing[gate] for gate in lacking or missing if gate in missing), "nobody has approved it with a signature"
    )
    raise Unapproved(
        f"{why}: it takes {pins.quorum} of the keys that are pinned here (`pilotage-agent approver list`),"
        f" signed with `pilotage approval approve`"
    )


def too_old(asked_at: int, now: int, most_hours: int, floor: int) -> str:
    """Return why an approval that was asked for at `asked_at` (UTC µs) does not count; empty where it does.

    `floor`: of approvals asked for until then this host has forgotten what they were used for.
    """
    if asked_at <= floor:
        return "was asked for before what this host remembers of the use of approvals: ask again"
    if now - asked_at > most_hours * HOUR:
        return f"was asked for more than {most_hours} hours ago, which is too long here: ask again"
    if asked_at > now + AHEAD:
        return "was asked for in the future: set the clocks of coordinator and host"
    return ""


def _signers(
    statement: Statement, signatures: Mapping[str, str], keys: frozenset[str], checked: Checked
) -> frozenset[str]:
    """Return the pinned keys that have signed."""
    signed = statement.signed_bytes()
    return frozenset(
        key
        for key, signature in signatures.items()
        if key in keys and _is_signed(statement.approval, signed, key, signature, checked)
    )


def _is_signed(approval: str, signed: bytes, key: str, signature: str, checked: Checked) -> bool:
    known = checked.known.get((approval, key, signature))
    if known is None:
        sshsig: Any = importlib.import_module(_SIGNATURES)
        try:
            sshsig.verify(signature, signed, NAMESPACE, sshsig.read_key(key))
            known = True
        except ValueError:
            known = False
        if len(checked.known) >= MOST_KEPT:
            checked.known.clear()
        checked.known[approval, key, signature] = known
    return known
