"""Tokens into files that nobody else can read."""

import os
from pathlib import Path

from pilotage_client import ClientError


def write_token(file: Path, token: str) -> None:
    """Write a token to a new file of mode 0600, or over an old one of ours; raises ClientError.

    It is written beside and then moved there, so that no moment shows half of it or an open mode.
    """
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as stream:
                stream.write(token + "\n")
                stream.flush()
                os.fsync(stream.fileno())
            draft.replace(file)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ClientError(f"{file}: {error.strerror}", "choose another file") from error
