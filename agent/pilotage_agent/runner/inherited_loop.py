"""The event loop of a worker, made by the zygote: making one anew would cost each worker as much as a bare fork."""

import asyncio
import os
import selectors
import socket


class InheritedLoop(asyncio.SelectorEventLoop):
    """An event loop whose process forks before it runs; each child takes its own copy into use.

    It polls, as what `select.poll` knows is memory of the process, whereas an epoll would stay shared with the parent.
    """

    def __init__(self) -> None:
        super().__init__(selectors.PollSelector())

    def take_over(self) -> tuple[int, int]:
        """Make it this process's own, right after the fork; returns its descriptors, of which a byte to the second
        one wakes it. The two sockets by which it wakes itself are replaced under their numbers.
        """
        receives, sends = self._descriptors()
        receiving, sending = socket.socketpair()
        with receiving, sending:
            receiving.setblocking(False)
            sending.setblocking(False)
            os.dup2(receiving.fileno(), receives, inheritable=False)
            os.dup2(sending.fileno(), sends, inheritable=False)
        return receives, sends

    def _descriptors(self) -> tuple[int, int]:
        # asyncio has no public name for them; they are called so in every version since 3.4.
        return self._ssock.fileno(), self._csock.fileno()  # type: ignore[attr-defined]
