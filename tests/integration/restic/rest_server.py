"""restic's rest-server on loopback, as the program that Debian packages."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

UNPACKED = Path(__file__).parents[3] / ".tools/root/usr/bin/restic-rest-server"
"""Where `tools/setup newer` puts it on a Debian that does not have it yet."""


def rest_server_program() -> str:
    """Return the path of the program; skips the test where there is none."""
    named = os.environ.get("PILOTAGE_TEST_REST_SERVER") or shutil.which("restic-rest-server")
    if named is None and UNPACKED.exists():
        named = str(UNPACKED)
    if named is None:
        pytest.skip("restic-rest-server is not there: tools/setup newer restic-rest-server")
    return named


def free_port() -> int:
    """Return a port of loopback on which nobody listens now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@contextmanager
def running_rest_server(vaults: Path, *options: str) -> Iterator[int]:
    """Serve the repositories below a folder; gives the port once it answers."""
    port = free_port()
    server = subprocess.Popen(
        [rest_server_program(), "--path", vaults, "--listen", f"127.0.0.1:{port}", "--no-auth", *options],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        while True:
            assert server.poll() is None, "rest-server ended"
            with socket.socket() as trial:
                if trial.connect_ex(("127.0.0.1", port)) == 0:
                    break
        yield port
    finally:
        server.terminate()
        server.wait(10)
