"""What restic's ways of failing mean to us. Its exit codes differ by version, so its words count too."""

import re
from typing import Final

from pilotage_plugin_api import InfrastructureFailed, ProgramResult, StepError, StepFailed, TargetFailed

from pilotage_plugins.backup.repository import masked

EXIT_PARTIAL: Final = 3
_EXIT_NO_REPOSITORY: Final = 10
_EXIT_LOCKED: Final = 11
_EXIT_WRONG_PASSWORD: Final = 12

_LOCKED: Final = re.compile(r"repository is already locked|unable to create lock", re.IGNORECASE)
_NETWORK: Final = re.compile(
    r"connection refused|connection reset|no such host|i/o timeout|TLS handshake|network is unreachable"
    r"|no route to host|unexpected EOF|server response unexpected: 5\d\d|Service Unavailable|temporary failure"
    r"|context deadline exceeded|unable to start the sftp session|ssh: connect|host key verification failed"
    r"|subprocess ssh: (Permission denied|Connection)",
    re.IGNORECASE,
)
_ROAD: Final = re.compile(
    r"connection refused|connection reset|broken pipe|no such host|network is unreachable|no route to host"
    r"|(read|write|dial) tcp |i/o timeout",
    re.IGNORECASE,
)
"""The way to the repository broke: what was read until then is cut short, and looks damaged without being so."""
_BROKEN_UPLOAD: Final = re.compile(
    r"Save\((<[^>]+>)\) returned error, retrying after .*Save\(\1\) failed: unexpected HTTP response \(403\)", re.DOTALL
)
"""A connection broke when the other side had all of it; a newer restic sends it again, and is told that it is there."""

_NO_SPACE: Final = re.compile(r"no space left on device|disk quota exceeded", re.IGNORECASE)
_NO_REPOSITORY: Final = re.compile(r"Is there a repository at the following location|repository does not exist")
_WRONG_PASSWORD: Final = re.compile(r"wrong password or no key found")
_STREAM_NEEDS_FOLDER: Final = re.compile(r"unable to save snapshot: open /[^:]*: no such file or directory")
"""restic 0.18.0 alone cannot store a stream under a path with folders (restic/restic#5324)."""

_DAMAGED: Final = re.compile(
    r"ciphertext verification failed|invalid data returned|does not match id|unable to load index|load <(config|index)"
    r"|returned invalid data|unexpected file size|config or key .* is damaged|invalid character|Load\(<.*unexpected EOF"
)
_ASKS_BACK: Final = re.compile(r"^Is there a repository at the following location\?\n.*\n?", re.MULTILINE)
_NOISE: Final = re.compile(r"^(\[\d+:\d\d\]|\s*$)|^\{.message_type.:.(status|summary|verbose_status)")


def is_locked(result: ProgramResult) -> bool:
    """Whether restic gave up because somebody else holds the repository's lock."""
    return result.exit_code == _EXIT_LOCKED or bool(result.exit_code and _LOCKED.search(_text(result.stderr)))


def no_repository(result: ProgramResult) -> bool:
    """Whether restic says that there is no repository at the address (and not that it cannot be reached)."""
    text = _text(result.stderr)
    if _NETWORK.search(text):
        return False
    return result.exit_code == _EXIT_NO_REPOSITORY or bool(result.exit_code and _NO_REPOSITORY.search(text))


def is_damaged(result: ProgramResult) -> bool:
    """Whether restic says that what it has read is not what was written, or not with this key."""
    text = _text(result.stderr)
    return bool(result.exit_code and _DAMAGED.search(text) and not _ROAD.search(text))


def failure(result: ProgramResult, what: str, repository: str) -> StepError:
    """Return the error for a restic that failed: what it was doing, to which repository, why, and the fix."""
    text = _text(result.stderr)
    where = f"{what} in {masked(repository)}"
    if is_locked(result):
        return InfrastructureFailed(
            f"{where}: the repository is locked by a running restic. Wait for it, raise lock_wait, or look at the"
            f" locks with `restic list locks`. restic said: {last_words(result)}"
        )
    if result.exit_code == _EXIT_WRONG_PASSWORD or _WRONG_PASSWORD.search(text):
        return StepFailed(f"{where}: the password does not open the repository. Check which secret `password` names")
    if _NO_SPACE.search(text):
        return InfrastructureFailed(f"{where}: a disk is full. restic said: {last_words(result)}")
    if no_repository(result):
        return TargetFailed(f"{where}: there is no repository there. Make it with backup.init, or correct the address")
    if _STREAM_NEEDS_FOLDER.search(text):
        return TargetFailed(
            f"{where}: this restic cannot store a stream under a path with folders, a fault of version 0.18.0 that"
            f" 0.18.1 does not have: install another version. restic said: {last_words(result)}"
        )
    if is_damaged(result):
        return StepFailed(
            f"{where}: the repository is damaged. Do not prune it; find out what with backup.verify read_data: full,"
            f" and see docs/backups.md (Repair). restic said: {last_words(result)}"
        )
    if _NETWORK.search(text) or _ROAD.search(text) or _BROKEN_UPLOAD.search(text):
        return InfrastructureFailed(f"{where}: the repository cannot be reached. restic said: {last_words(result)}")
    return StepFailed(f"{where}: restic ended with {result.ending}. It said: {last_words(result)}")


def last_words(result: ProgramResult, limit: int = 1500) -> str:
    """Return the last lines that mean something, of standard error or else of standard output."""
    for stream in (result.stderr, result.stdout):
        said = _ASKS_BACK.sub("", _text(stream))
        lines = [line.strip() for line in said.splitlines() if not _NOISE.search(line)]
        if lines:
            return masked(" | ".join(lines[-8:]))[-limit:]
    return "nothing"


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")
