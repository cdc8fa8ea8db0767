"""Telling systemd how the service is: the sd_notify protocol, datagrams to $NOTIFY_SOCKET."""

import contextlib
import os
import socket
from collections.abc import Mapping


class ServiceManager:
    """systemd, or nobody when the agent was started by hand."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        try:
            interval = int(environment.get("WATCHDOG_USEC", "0"))
            meant_for = int(environment.get("WATCHDOG_PID", "0") or "0")
        except ValueError:
            interval = meant_for = 0
        ours = meant_for in (0, os.getpid())
        self.watchdog_seconds = interval / 1_000_000 / 3 if ours else 0.0
        """How often to call `alive`, 0 for never: a third of what systemd allows."""

    def ready(self) -> None:
        """The service has started."""
        self._send("READY=1")

    def alive(self) -> None:
        """The service still works."""
        self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """Show a line in `systemctl status`."""
        self._send("STATUS=" + text.replace("\n", " "))

    def stopping(self) -> None:
        """The service is about to end."""
        self._send("STOPPING=1")

    def _send(self, text: str) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.connect(address)
            out.send(text.encode())
