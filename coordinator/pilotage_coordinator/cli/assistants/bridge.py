"""Between a client that starts a program and speaks over its pipes, and the coordinator's `/mcp`: it carries messages.

It decides nothing and keeps nothing but the version of the protocol that client and coordinator agreed on. What a
client may do is decided by the coordinator, from the token, as for every other face.
"""

import asyncio
import base64
import json
import re
import sys
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any, BinaryIO, Final

import httpx
from pilotage_client import ClientError, CoordinatorUnreachable
from pilotage_client.transport import Transport, refusal

LONGEST_LINE: Final = 8 << 20
"""Bytes of one message; the coordinator takes less."""
PATIENCE: Final = 5.0
"""Seconds in which what was asked may still be answered, once the client asks no more."""
MOST_WAITING: Final = 64
"""Messages that were read and not yet sent."""
REFUSED: Final = -32001
UNREACHABLE: Final = -32000
UNREADABLE: Final = -32700
VERSION: Final = "io.modelcontextprotocol/protocolVersion"
"""Where a request of the newer protocol says which version it speaks."""
NAMED: Final = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
"""Requests whose subject is repeated in a header."""
_PLAIN: Final = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")

Write = Callable[[bytes], None]


class Bridge:
    """Carries one client's messages."""

    def __init__(self, transport: Transport, path: str, write: Write) -> None:
        """Take the way to the coordinator, the path with its query, and what writes a line to the client."""
        self._transport = transport
        self._path = path
        self._write = write
        self._agreed = ""
        self._asked: dict[str | int, asyncio.Task[None]] = {}
        self._others: set[asyncio.Task[None]] = set()

    async def run(self, lines: AsyncIterator[bytes]) -> None:
        """Carry messages until the client closes its side; what is under way may then still end."""
        try:
            async for line in lines:
                if line.strip():
                    await self._take(line)
            under_way = {*self._asked.values(), *self._others}
            if under_way:
                await asyncio.wait(under_way, timeout=PATIENCE)
        finally:
            under_way = {*self._asked.values(), *self._others}
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)

    async def _take(self, line: bytes) -> None:
        message = _message(line)
        if message is None:
            self._error(None, UNREADABLE, "this is no JSON-RPC message: one JSON object on a line is")
            return
        if message.get("method") == "notifications/cancelled":
            self._cancel(message)
            return
        task = asyncio.create_task(self._carry(line, message))
        id = message.get("id")
        if isinstance(id, str | int):
            self._asked[id] = task
            task.add_done_callback(lambda done: self._asked.pop(id, None))
        else:
            self._others.add(task)
            task.add_done_callback(self._others.discard)
        if message.get("method") == "initialize":
            # What comes next speaks the version that is agreed on now.
            await asyncio.wait({task})

    def _cancel(self, message: dict[str, Any]) -> None:
        """Give a request up: hanging up is how the coordinator is told."""
        parameters = message.get("params")
        id = parameters.get("requestId") if isinstance(parameters, dict) else None
        task = self._asked.get(id) if isinstance(id, str | int) else None
        if task is not None:
            task.cancel()

    async def _carry(self, line: bytes, message: dict[str, Any]) -> None:
        id = message.get("id")
        try:
            async with self._transport.exchange(self._path, line, self._headers(message)) as response:
                await self._answer(message, response)
        except ClientError as error:
            code = UNREACHABLE if isinstance(error, CoordinatorUnreachable) else REFUSED
            self._error(id, code, f"{error.detail}{'; ' + error.fix if error.fix else ''}")

    async def _answer(self, message: dict[str, Any], response: httpx.Response) -> None:
        kind = response.headers.get("content-type", "").partition(";")[0].strip()
        if kind == "text/event-stream":
            data: list[str] = []
            async for line in response.aiter_lines():
                if line.startswith("data:"):
                    data.append(line[5:].removeprefix(" "))
                elif not line and data:
                    self._forward(message, "\n".join(data).encode())
                    data = []
            return
        body = await response.aread()
        if kind == "application/json" and "jsonrpc" in (_message(body) or {}):
            self._forward(message, body)
        elif response.is_error:
            raise refusal(response.status_code, body)

    def _forward(self, message: dict[str, Any], answer: bytes) -> None:
        found = _message(answer)
        if found is None:
            return
        result = found.get("result")
        if message.get("method") == "initialize" and isinstance(result, dict):
            self._agreed = str(result.get("protocolVersion", ""))
        self._write(json.dumps(found, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")

    def _headers(self, message: dict[str, Any]) -> dict[str, str]:
        headers = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
        parameters = message.get("params")
        given: dict[str, Any] = parameters if isinstance(parameters, dict) else {}
        meta = given.get("_meta")
        version = meta.get(VERSION) if isinstance(meta, dict) else None
        method = message.get("method")
        if isinstance(version, str) and isinstance(method, str):
            headers |= {"mcp-protocol-version": _header(version), "mcp-method": _header(method)}
            subject = given.get(NAMED.get(method, ""))
            if isinstance(subject, str):
                headers["mcp-name"] = _header(subject)
        elif self._agreed and method != "initialize":
            headers["mcp-protocol-version"] = _header(self._agreed)
        return headers

    def _error(self, id: object, code: int, text: str) -> None:
        if id is None and code != UNREADABLE:
            return
        body = {"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": text}}
        self._write(json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")


def lines_of(stream: BinaryIO) -> AsyncIterator[bytes]:
    """Return the lines of a stream that blocks, read by a thread that no exit waits for."""
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[bytes] = asyncio.Queue()
    room = threading.Semaphore(MOST_WAITING)

    def read() -> None:
        try:
            while line := stream.readline(LONGEST_LINE):
                room.acquire()
                loop.call_soon_threadsafe(queue.put_nowait, line)
            loop.call_soon_threadsafe(queue.put_nowait, b"")
        except RuntimeError:
            # The loop is over, and with it whoever would have heard.
            return

    threading.Thread(target=read, name="stdin", daemon=True).start()

    async def lines() -> AsyncIterator[bytes]:
        while line := await queue.get():
            room.release()
            yield line

    return lines()


def write_to(stream: BinaryIO) -> Write:
    """Return what writes whole lines at once."""

    def write(line: bytes) -> None:
        stream.write(line)
        stream.flush()

    return write


async def serve(transport: Transport, path: str) -> None:
    """Carry the messages of whoever started this process."""
    try:
        await Bridge(transport, path, write_to(sys.stdout.buffer)).run(lines_of(sys.stdin.buffer))
    finally:
        await transport.close()


def _message(line: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _header(text: str) -> str:
    """Return a text as the value of a header: encoded where a header could not carry it."""
    if _PLAIN.fullmatch(text) and not (text.startswith("=?base64?") and text.endswith("?=")):
        return text
    return f"=?base64?{base64.b64encode(text.encode()).decode()}?="
