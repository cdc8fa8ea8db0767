"""Whose signatures this host believes, read from a file that only this host can change."""

import importlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pilotage_agent.errors import ConfigRefused
from pilotage_agent.identity import write_private
from pilotage_agent.witness import read_owners

_KEYS = "pilotage_proto.sshsig"


def read_approvers(file: Path, *, required: bool) -> frozenset[str]:
    """Return the keys in a file, one a line as in a .pub file; `#` begins a comment. Each as `TYPE BASE64`.

    Raises OSError, and ValueError for what is no key: a file that cannot be read is no empty file.
    """
    if required and not file.exists():
        raise FileNotFoundError(f"{file} is not there")
    return frozenset(" ".join(line.split()[:2]) for line in read_owners(file))


def checked_approvers(file: Path, *, required: bool) -> frozenset[str]:
    """Return the keys in a file, each looked at. Raises OSError, and ValueError for a line that is no key."""
    keys = read_approvers(file, required=required)
    if not keys:
        return keys
    sshsig: Any = importlib.import_module(_KEYS)
    return frozenset(sshsig.read_key(key).line for key in keys)


def pin_approvers(pinned: Path, file: Path) -> tuple[str, ...]:
    """Add the keys of a file to those that are pinned, durably, and return their fingerprints. Raises ConfigRefused."""
    sshsig: Any = importlib.import_module(_KEYS)
    try:
        new = {sshsig.read_key(key) for key in read_approvers(file, required=True)}
        known = {sshsig.read_key(key) for key in read_approvers(pinned, required=False)}
    except (OSError, ValueError) as error:
        raise ConfigRefused(f"{file}: {error}") from error
    if not new:
        raise ConfigRefused(f"{file} holds no public key: give a file such as id_ed25519.pub")
    write_approvers(pinned, new | known)
    return tuple(sorted(key.fingerprint for key in new))


def write_approvers(pinned: Path, keys: Iterable[Any]) -> None:
    """Write the pinned keys, durably and in one piece."""
    lines = sorted(f"# {key.fingerprint}\n{key.line}\n" for key in keys)
    write_private(pinned, "".join(lines).encode())
