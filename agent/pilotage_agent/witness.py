"""What this host has seen of its coordinator's audit log, and whether a coordinator that shows less may go on.

The newest signed head is kept in the journal and told in every Hello. A coordinator whose log ends before it was put
back to an older copy, or somebody cut its log: it gets no session, unless a recovery record says that the log was
restored, signed by an owner whose key this host knows. A host that knows no owner's key takes an unsigned record, which
at least makes every restore visible; a log that is merely shorter is refused there too.
"""

import hashlib
import importlib
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pilotage_proto.recovery import NAMESPACE, RecoveryRefused, read_recovery

from pilotage_agent.messages import AuditHead, Recovery

_log = logging.getLogger("pilotage.agent.link")

LARGEST_OWNERS: Final = 64 * 1024
"""Bytes of the file with the owners' keys."""
_SIGNATURES: Final = "pilotage_proto.sshsig"
"""Imported with the first record that has to be checked: its libraries stay in memory."""


@dataclass(frozen=True, slots=True)
class Witness:
    """The newest head that was seen, under the identity (host id) that saw it: who joins anew begins anew."""

    host_id: str
    head: AuditHead


@dataclass(frozen=True, slots=True)
class Ruling:
    """Whether a coordinator may go on. `consume`: a record that is used up by it, to be journaled first."""

    refusal: str = ""
    consume: str = ""


def judge(
    known: AuditHead | None,
    shown: AuditHead | None,
    recoveries: Sequence[Recovery],
    owners: Sequence[str],
    consumed: Callable[[str], bool],
) -> Ruling:
    """Compare what a coordinator shows with what was seen. `owners`: their public keys, as lines."""
    if known is None:
        return Ruling()
    if shown is None:
        return Ruling(f"the coordinator shows no audit log, but this host has seen its entry {known.sequence}")
    if shown.log != known.log:
        return Ruling(f"this coordinator is {shown.log}, but this host belongs to {known.log}")
    if shown.sequence > known.sequence or (shown.sequence, shown.hash) == (known.sequence, known.hash):
        return Ruling()
    back = (
        f"the coordinator's audit log ends at entry {shown.sequence}, but this host has seen entry {known.sequence}: "
        "it was restored from an old copy, or its log was cut"
        if shown.sequence < known.sequence
        else f"entry {known.sequence} of the coordinator's audit log is not the one that this host has seen"
    )
    return _excused(back, known, recoveries, owners, consumed)


def _excused(
    back: str,
    known: AuditHead,
    recoveries: Sequence[Recovery],
    owners: Sequence[str],
    consumed: Callable[[str], bool],
) -> Ruling:
    """Look for a record that lets a coordinator go back; the newest is the last."""
    why = f"{back}. No recovery record covers that: a restored coordinator is started with --after-restore"
    for each in reversed(recoveries):
        name = "recovery:" + hashlib.sha256(each.statement).hexdigest()
        try:
            record = read_recovery(each.statement)
        except RecoveryRefused as error:
            why = f"{back}. {error}"
            continue
        if not record.covers(known.log, known.sequence, known.hash):
            continue
        if consumed(name):
            why = f"{back}. Its recovery record was used here before"
        elif not owners or _signed(each, owners):
            return Ruling(consume=name)
        else:
            why = (
                f"{back}. This host goes back only by a recovery record that an owner has signed: "
                "pilotage backup accept, on a machine that has the owner's SSH key"
            )
    return Ruling(why)


def _signed(record: Recovery, owners: Sequence[str]) -> bool:
    if not record.signature:
        return False
    sshsig: Any = importlib.import_module(_SIGNATURES)
    for owner in owners:
        try:
            sshsig.verify(record.signature, record.statement, NAMESPACE, sshsig.read_key(owner))
        except ValueError as error:
            _log.info("a recovery record is not by this owner's key: %s", error)
            continue
        return True
    return False


def read_owners(*files: Path) -> tuple[str, ...]:
    """Return the owners' public keys that are known here, one a line; `#` begins a comment. Raises OSError, ValueError.

    A file that cannot be read is no empty file: what it would forbid must not be allowed.
    """
    found: list[str] = []
    for file in files:
        try:
            with file.open("rb") as stream:
                text = stream.read(LARGEST_OWNERS + 1)
        except FileNotFoundError:
            continue
        if len(text) > LARGEST_OWNERS:
            raise ValueError(f"{file} is larger than {LARGEST_OWNERS} bytes")
        lines = (line.strip() for line in text.decode().splitlines())
        found += [line for line in lines if line and not line.startswith("#")]
    return tuple(found)


def witness_to_json(witness: Witness | None) -> str:
    """Return the stored form; empty for none."""
    if witness is None:
        return ""
    head = witness.head
    return json.dumps(
        [witness.host_id, head.log, head.sequence, head.hash, head.key.hex(), head.signature.hex()],
    )


def witness_from_json(text: str) -> Witness | None:
    """Read the stored form; raises ValueError for a text that is none."""
    if not text:
        return None
    host_id, log, sequence, hash_, key, signature = json.loads(text)
    return Witness(host_id, AuditHead(log, sequence, hash_, bytes.fromhex(key), bytes.fromhex(signature)))
