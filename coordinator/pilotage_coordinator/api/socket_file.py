"""The unix socket: only its owner can reach it, and only one coordinator listens on it.

Who may connect is decided by the file system: a 0600 socket in a 0700 folder. The peer's credentials would say nothing
more, and uvicorn does not hand them on.
"""

import errno
import os
import socket
import stat
from pathlib import Path

from pilotage_coordinator.api.errors import SocketRefused

LONGEST_PATH = 100
"""Bytes; the kernel takes 107, and a shorter one leaves room for the name used while it is made."""


def listen(path: Path, backlog: int = 512) -> socket.socket:
    """Return a listening socket at `path`, mode 0600; its folder is made with mode 0700.

    A socket file that nobody listens on is replaced. Raises SocketRefused when somebody does, when the folder belongs
    to somebody else or is open to others, or when the path is too long.
    """
    if len(os.fsencode(path)) > LONGEST_PATH:
        raise SocketRefused(f"socket {path}: the path is longer than {LONGEST_PATH} bytes; choose one with --socket")
    _prepare_folder(path.parent)
    _refuse_living(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made = path.with_name(f".{os.getpid()}.s")
    try:
        made.unlink(missing_ok=True)
        listener.bind(str(made))
        made.chmod(0o600)
        listener.listen(backlog)
        listener.setblocking(False)
        # Renamed only now, so that whoever finds the socket finds it closed to others and answering.
        made.rename(path)
    except OSError as error:
        listener.close()
        made.unlink(missing_ok=True)
        raise SocketRefused(f"socket {path}: {error.strerror}") from error
    return listener


def remove(path: Path) -> None:
    """Remove the socket file if nobody listens on it any more."""
    if not _answers(path):
        path.unlink(missing_ok=True)


def _prepare_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat()
    except OSError as error:
        raise SocketRefused(f"folder {folder} of the socket: {error.strerror}") from error
    if found.st_uid != os.geteuid():
        raise SocketRefused(f"folder {folder} of the socket belongs to another user; choose one with --socket")
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise SocketRefused(f"folder {folder} of the socket is open to others; close it: chmod 700 {folder}")


def _refuse_living(path: Path) -> None:
    if path.is_symlink() or (path.exists() and not path.is_socket()):
        raise SocketRefused(f"{path} is no socket; it is left alone. Choose another path with --socket")
    if _answers(path):
        raise SocketRefused(f"another coordinator listens on {path}; `pilotage coordinator status` shows it")


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        result = probe.connect_ex(str(path))
    return result not in (errno.ENOENT, errno.ECONNREFUSED)
