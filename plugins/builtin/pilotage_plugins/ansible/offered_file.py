"""A content under a path, for a program that insists on a file by name: a named pipe, so that no disk ever holds it.

Ansible resolves the names of files before it opens them, so a descriptor's name in /proc will not do.
"""

import asyncio
import contextlib
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path


@contextlib.asynccontextmanager
async def offered(path: Path, content: bytes) -> AsyncIterator[Path]:
    """Offer the content at the path, mode 0600, to whoever opens it, as often as that happens, until the end."""
    offer = _Offer(path, content)
    offer.renew()
    thread = threading.Thread(target=offer.serve, name=f"offer {path.name}", daemon=True)
    thread.start()
    try:
        yield path
    finally:
        offer.over = True
        await asyncio.to_thread(offer.end, thread)


class _Offer:
    """One pipe after another under the same name, each for one reader: a reader sees the end of its own only."""

    def __init__(self, path: Path, content: bytes) -> None:
        self._path = path
        self._content = content
        self.over = False

    def renew(self) -> None:
        """Put a new pipe in place of the one that somebody reads."""
        hidden = self._path.with_name(f".{self._path.name}.new")
        os.mkfifo(hidden, 0o600)
        hidden.rename(self._path)

    def serve(self) -> None:
        """Wait for readers, one after the other; in a thread."""
        while True:
            handle = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC)
            try:
                if self.over:
                    return
                self.renew()
                with contextlib.suppress(BrokenPipeError):
                    left = self._content
                    while left:
                        left = left[os.write(handle, left) :]
            finally:
                os.close(handle)

    def end(self, thread: threading.Thread) -> None:
        """Let the thread go, which waits for a reader that will not come. Blocking."""
        while thread.is_alive():
            # More than once, as the thread may just have turned to its next pipe.
            handle = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            thread.join(0.05)
            os.close(handle)
        self._path.unlink()
