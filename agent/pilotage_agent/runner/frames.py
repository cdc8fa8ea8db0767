"""JSON messages over a stream socket between agent and worker: a four-byte length, then the text."""

import json
import socket
import struct
from typing import Any, Final

_LENGTH: Final = struct.Struct(">I")

LARGEST: Final = 16 * 1024 * 1024
"""Bytes of one message: parameters, outputs and secrets together stay far below."""


class FrameBroken(Exception):
    """What arrived is no message."""


def pack(message: dict[str, Any]) -> bytes:
    """Return the bytes of a message."""
    body = json.dumps(message).encode()
    return _LENGTH.pack(len(body)) + body


def receive(channel: socket.socket) -> dict[str, Any] | None:
    """Block until a message has come; None when the other side is gone."""
    head = _receive_exactly(channel, _LENGTH.size)
    if head is None:
        return None
    (length,) = _LENGTH.unpack(head)
    if length > LARGEST:
        raise FrameBroken(f"a message of {length} bytes")
    body = _receive_exactly(channel, length)
    return None if body is None else _parse(body)


class FrameReader:
    """Cuts messages out of what a non-blocking socket delivers."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """Take bytes and return the messages that they complete; raises FrameBroken."""
        self._held += data
        messages = []
        while len(self._held) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._held)
            if length > LARGEST:
                raise FrameBroken(f"a message of {length} bytes")
            end = _LENGTH.size + length
            if len(self._held) < end:
                break
            messages.append(_parse(bytes(self._held[_LENGTH.size : end])))
            del self._held[:end]
        return messages


def _parse(body: bytes) -> dict[str, Any]:
    try:
        message = json.loads(body)
    except ValueError as error:
        raise FrameBroken(f"no JSON: {error}") from error
    if not isinstance(message, dict):
        raise FrameBroken("no JSON object")
    return message


def _receive_exactly(channel: socket.socket, count: int) -> bytes | None:
    held = bytearray()
    while len(held) < count:
        chunk = channel.recv(count - len(held))
        if not chunk:
            return None
        held += chunk
    return bytes(held)
