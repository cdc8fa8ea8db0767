"""A TCP proxy on loopback that cuts connections, or lets nothing more through, after so many bytes."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field


@dataclass(slots=True)
class CuttingProxy:
    """Forwards to a port of loopback. `cut_after` bytes, either way, all connections are cut, and while `dead` new ones
    are, too. `hang_after` bytes nothing goes either way any more, and nobody is told: a black hole."""

    to: int
    cut_after: int | None = None
    hang_after: int | None = None
    dead: bool = False
    port: int = 0
    passed: int = 0
    cuts: int = 0
    stay_dead: bool = False
    reached: threading.Event = field(default_factory=threading.Event)
    _ended: threading.Event = field(default_factory=threading.Event)
    _open: list[socket.socket] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def serve(self, listening: socket.socket) -> None:
        """Accept until the socket is closed."""
        while True:
            try:
                incoming, _ = listening.accept()
            except OSError:
                return
            if self.dead:
                incoming.close()
                continue
            outgoing = socket.create_connection(("127.0.0.1", self.to))
            with self._lock:
                self._open += [incoming, outgoing]
            for pair in ((incoming, outgoing), (outgoing, incoming)):
                threading.Thread(target=self._pump, args=pair, daemon=True).start()

    def end(self) -> None:
        """Cut every connection for good, also those that hang."""
        self._ended.set()
        self.cut()

    def cut(self) -> None:
        """Cut every connection now."""
        with self._lock:
            doomed, self._open = self._open, []
        for one in doomed:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while chunk := source.recv(65536):
                self.passed += len(chunk)
                if self.cut_after is not None and self.passed > self.cut_after:
                    self.cut_after = None
                    self.dead = self.stay_dead
                    self.cuts += 1
                    self.cut()
                    self.reached.set()
                    return
                if self.hang_after is not None and self.passed > self.hang_after:
                    self.reached.set()
                    self._ended.wait()
                    return
                target.sendall(chunk)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)


@contextmanager
def running_proxy(to: int) -> Iterator[CuttingProxy]:
    """Run one; it and its connections end with the block."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        proxy = CuttingProxy(to, port=listening.getsockname()[1])
        thread = threading.Thread(target=proxy.serve, args=(listening,))
        thread.start()
        try:
            yield proxy
        finally:
            with suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)
            listening.close()
            thread.join()
            proxy.end()
