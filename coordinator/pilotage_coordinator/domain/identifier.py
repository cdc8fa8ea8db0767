"""Identifiers: a prefix that says what they name, and a UUID version 7, so that they sort by creation time."""

from collections.abc import Callable
from typing import TypeAlias

NewId: TypeAlias = Callable[[str], str]
"""Makes an identifier with the given prefix. Passed in, so that rules that need one stay pure."""


def uuid7_identifier(prefix: str, milliseconds: int, randomness: int) -> str:
    """Return `prefix_` and the 32 hexadecimal digits of a UUIDv7 (RFC 9562, 5.7).

    `milliseconds` is Unix time, `randomness` at least 74 random bits.
    """
    value = (milliseconds & (1 << 48) - 1) << 80
    value |= 0x7 << 76
    value |= (randomness >> 62 & 0xFFF) << 64
    value |= 0b10 << 62
    value |= randomness & (1 << 62) - 1
    return f"{prefix}_{value:032x}"
