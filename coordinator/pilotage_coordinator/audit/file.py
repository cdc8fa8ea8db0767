"""Checking an exported log with nothing else at hand: the rules of docs/audit.md."""

import base64
import binascii
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pilotage_proto.audit_head import FIRST_HASH, head_statement
from pilotage_proto.canonical import canonical, digest_of_bytes

from pilotage_coordinator.audit.entry import AuditHead

LONGEST_LINE = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class FileVerdict:
    """What checking a file found; `fault` is empty when all holds, else it names the line."""

    checked: int
    first: int
    """The sequence of the first entry; 1 for a whole log."""
    log: str
    key_fingerprint: str
    fault: str = ""


class _Fault(Exception):
    """The file does not hold."""


def verify_file(lines: Iterable[bytes], key_fingerprint: str = "", known: AuditHead | None = None) -> FileVerdict:
    """Check an export, line by line. `key_fingerprint` and `known` are what the reader knows from elsewhere; without
    the first, anybody could have made the file."""
    reading = _Reading(key_fingerprint, known)
    fault = ""
    try:
        for number, line in enumerate(lines, start=1):
            reading.take(f"line {number}", line)
        reading.end()
    except _Fault as error:
        fault = str(error)
    return FileVerdict(reading.checked, reading.first, reading.log, reading.key, fault)


class _Reading:
    """How far a file was read, and what it said so far."""

    def __init__(self, key_fingerprint: str, known: AuditHead | None) -> None:
        self._key_fingerprint = key_fingerprint
        self._known = known
        self._last = AuditHead()
        self.checked = 0
        self.first = 0
        self.log = ""
        self.key = ""

    def take(self, place: str, line: bytes) -> None:
        """Take the next line, its break included."""
        if not line.endswith(b"\n"):
            raise _Fault(f"{place} has no end: the file was cut, or the line is too long")
        if self.log:
            raise _Fault(f"{place} follows the signed head")
        said = _read(line[:-1], place)
        if "signature" in said:
            self._take_head(place, said, line[:-1])
        else:
            self._take_entry(place, said, digest_of_bytes(line[:-1]))

    def end(self) -> None:
        """Say that there is no further line."""
        if not self.log:
            raise _Fault("the signed head at the end is missing: the file was cut")
        if self._known is not None and self._known.sequence > self._last.sequence:
            raise _Fault(
                f"the log ends at entry {self._last.sequence}, but entry {self._known.sequence} was seen earlier"
            )

    def _take_entry(self, place: str, said: dict[str, Any], hash_: str) -> None:
        if self.checked == 0:
            self.first = said["sequence"]
            before = FIRST_HASH if self.first == 1 else said["previous"]
            self._last = AuditHead(self.first - 1, before)
        sequence = self._last.sequence + 1
        entry = f"{place} (entry {sequence})"
        if said["sequence"] != sequence:
            raise _Fault(f"{entry} is missing, or another entry stands in its place")
        if said["previous"] != self._last.hash:
            raise _Fault(f"{entry} does not follow the line before it: one of the two was changed")
        if self._known is not None and self._known.sequence == sequence and self._known.hash != hash_:
            raise _Fault(f"{entry} is not the one that was seen earlier: it, or one before it, was changed")
        self._last = AuditHead(sequence, hash_)
        self.checked += 1

    def _take_head(self, place: str, said: dict[str, Any], line: bytes) -> None:
        if (said["sequence"], said["hash"]) != (self._last.sequence, self._last.hash):
            raise _Fault(
                f"{place}, the signed head, names entry {said['sequence']} as {said['hash']}, but the line before it "
                f"is entry {self._last.sequence}, {self._last.hash}: one of the two was changed"
            )
        try:
            public = bytes.fromhex(said["key"])
            signature = base64.b64decode(said["signature"], validate=True)
            statement = head_statement(said["log"], self._last.sequence, self._last.hash)
            Ed25519PublicKey.from_public_bytes(public).verify(signature, statement)
        except (ValueError, TypeError, binascii.Error, InvalidSignature) as error:
            raise _Fault(f"{place}, the signed head, carries no valid signature of its key") from error
        if line != canonical({**said, "key": public.hex(), "signature": base64.b64encode(signature).decode()}):
            raise _Fault(f"{place}, the signed head, is not written as it must be")
        self.key = hashlib.sha256(public).hexdigest()
        if self._key_fingerprint and self.key != self._key_fingerprint.lower():
            raise _Fault(f"{place}, the signed head, was made with key {self.key}, not {self._key_fingerprint}")
        self.log = said["log"]


def _read(line: bytes, place: str) -> dict[str, Any]:
    try:
        said = json.loads(line.decode())
    except (ValueError, RecursionError) as error:
        raise _Fault(f"{place} is no JSON: {error}") from error
    wanted = ("signature", "key", "log", "hash") if isinstance(said, dict) and "signature" in said else ("previous",)
    if (
        not isinstance(said, dict)
        or type(said.get("sequence")) is not int
        or any(type(said.get(name)) is not str for name in wanted)
    ):
        raise _Fault(f"{place} is neither an entry nor a signed head")
    return said
