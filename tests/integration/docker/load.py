"""Continuous HTTP load from inside a container's network, by the names that Docker's own DNS gives; counts every loss.

    nsenter --net=/proc/PID/ns/net python -m tests.integration.docker.load NAME PORT PATH CLIENTS

Each request asks the DNS anew, opens a connection, and is asked once: whatever goes wrong is a lost request. When
standard input is closed, it ends and prints what it saw as JSON.
"""

import asyncio
import contextlib
import json
import random
import socket
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from tests.integration.docker.engine_site import EngineSite

_DNS: Final = ("127.0.0.11", 53)
_PATIENCE: Final = 10.0


@dataclass(slots=True)
class Seen:
    """What the clients saw: answers by their text, losses by their reason, and the longest wait for an answer."""

    answers: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    longest: float = 0.0


@dataclass(slots=True)
class Load:
    """A running load; `seen` is filled when it ends."""

    process: "subprocess.Popen[str]"
    total: int = 0
    lost: list[str] = field(default_factory=list)
    answers: dict[str, int] = field(default_factory=dict)
    longest: float = 0.0

    def end(self) -> None:
        """End it and read what it saw."""
        said, _ = self.process.communicate(timeout=30)
        found: dict[str, Any] = json.loads(said)
        self.lost, self.answers, self.longest = found["lost"], found["answers"], found["longest"]
        self.total = sum(self.answers.values()) + len(self.lost)


@contextlib.contextmanager
def load(
    site: EngineSite, inside: str, name: str, *, port: int = 8080, path: str = "/", clients: int = 4
) -> Iterator[Load]:
    """Load a name from inside a running container's network until the block ends."""
    pid = site.inspect(inside)["State"]["Pid"]
    command = [
        "nsenter", f"--net=/proc/{pid}/ns/net", sys.executable, "-m", "tests.integration.docker.load",
        name, str(port), path, str(clients),
    ]  # fmt: skip
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    running = Load(process)
    try:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "answered"
        yield running
        running.end()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


async def _client(seen: Seen, ended: asyncio.Event, target: tuple[str, int, str]) -> None:
    while not ended.is_set():
        began = time.monotonic()
        try:
            async with asyncio.timeout(_PATIENCE):
                seen.answers[await _ask(*target)] += 1
        except (OSError, ValueError, EOFError) as error:
            seen.lost.append(f"at {began:.3f} {type(error).__name__}: {error}")
        took = time.monotonic() - began
        seen.longest = max(seen.longest, took)
        await asyncio.sleep(random.uniform(0.005, 0.02))


async def _ask(name: str, port: int, path: str) -> str:
    addresses = await asyncio.to_thread(_resolve, name)
    reader, writer = await asyncio.open_connection(random.choice(addresses), port)
    try:
        writer.write(f"GET {path} HTTP/1.0\r\nHost: {name}\r\n\r\n".encode())
        answer = await reader.read()
    finally:
        writer.transport.abort()
    head, _, body = answer.partition(b"\r\n\r\n")
    if b" 200 " not in head.partition(b"\r\n")[0] or not body.endswith(b"\n"):
        raise ValueError(f"not a whole answer: {answer[:80]!r}")
    return body.decode().strip()


def _resolve(name: str) -> list[str]:
    """Ask Docker's DNS (RFC 1035, A records); raises ValueError when the name has no address."""
    question = struct.pack(">HHHHHH", random.randrange(65536), 0x0100, 1, 0, 0, 0)
    question += b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0\0\1\0\1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(5)
        asking.sendto(question, _DNS)
        answer = asking.recv(4096)
    count, place = struct.unpack(">H", answer[6:8])[0], len(question)
    addresses = []
    for _ in range(count):
        while answer[place] and answer[place] < 0xC0:
            place += 1 + answer[place]
        # The name ends with an empty part or with a pointer of two bytes.
        place += 2 if answer[place] else 1
        kind, size = struct.unpack(">H6xH", answer[place : place + 10])
        if kind == 1 and size == 4:
            addresses.append(socket.inet_ntoa(answer[place + 10 : place + 14]))
        place += 10 + size
    if not addresses:
        raise ValueError(f"{name} has no address (code {answer[3] & 15})")
    return addresses


async def _main(name: str, port: str, path: str, clients: str) -> None:
    seen, ended = Seen(), asyncio.Event()
    target = (name, int(port), path)
    seen.answers[await _ask(*target)] += 1
    working = [asyncio.create_task(_client(seen, ended, target)) for _ in range(int(clients))]
    sys.stdout.write("answered\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    ended.set()
    await asyncio.gather(*working)
    sys.stdout.write(json.dumps({"answers": seen.answers, "lost": seen.lost, "longest": round(seen.longest, 3)}))


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
