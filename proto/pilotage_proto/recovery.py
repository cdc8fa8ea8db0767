"""The recovery record: that a coordinator was restored from a backup, and which part of its audit log was lost by it.

An owner signs its bytes with an SSH key (`ssh-keygen -Y sign -n recovery@pilotage`); agents that know the owner's key
go back to the older log by nothing else. Standard library only.
"""

import json
import re
from dataclasses import dataclass
from typing import Any, Final

from pilotage_proto.canonical import canonical

NAMESPACE: Final = "recovery@pilotage"
LARGEST: Final = 4096
"""Bytes of a statement."""
_HASH: Final = re.compile(r"sha256:[0-9a-f]{64}")


class RecoveryRefused(ValueError):
    """A text that is no recovery record; it says why."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """The log goes on after entry `resumes`; whoever saw an entry above it, up to `lost`, has seen what is gone."""

    log: str
    resumes: int
    resumes_hash: str
    lost: int
    lost_hash: str
    at: int
    """UTC microseconds at which the record was made; tells two records apart, proves nothing."""

    @property
    def statement(self) -> bytes:
        """Return the bytes that are signed."""
        return canonical(
            {
                "pilotage": "recovery",
                "log": self.log,
                "resumes": {"sequence": self.resumes, "hash": self.resumes_hash},
                "lost": {"sequence": self.lost, "hash": self.lost_hash},
                "at": self.at,
            }
        )

    def covers(self, log: str, sequence: int, hash_: str) -> bool:
        """Return whether somebody who saw this entry may go back."""
        if log != self.log or not self.resumes < sequence <= self.lost:
            return False
        return sequence < self.lost or hash_ == self.lost_hash


def read_recovery(statement: bytes) -> Recovery:
    """Read a statement; raises RecoveryRefused unless it is exactly what `Recovery.statement` writes."""
    if len(statement) > LARGEST:
        raise RecoveryRefused("the recovery record is too large")
    try:
        said: Any = json.loads(statement)
        found = Recovery(
            log=said["log"],
            resumes=said["resumes"]["sequence"],
            resumes_hash=said["resumes"]["hash"],
            lost=said["lost"]["sequence"],
            lost_hash=said["lost"]["hash"],
            at=said["at"],
        )
        numbers, hashes = (found.resumes, found.lost, found.at), (found.resumes_hash, found.lost_hash)
        if any(type(each) is not int for each in numbers) or not all(_HASH.fullmatch(each) for each in hashes):
            raise RecoveryRefused("the recovery record names no heads")
        if found.statement != statement:
            raise RecoveryRefused("the recovery record is not in its canonical form")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        if isinstance(error, RecoveryRefused):
            raise
        raise RecoveryRefused("that is no recovery record") from error
    return found
