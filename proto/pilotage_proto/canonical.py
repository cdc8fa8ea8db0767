"""Canonical JSON (RFC 8785) and digests over it.

Coordinator and agent recompute each other's digests, so both must turn one value into the same bytes.
Standard library only.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

_ALLOWED = "canonical JSON holds null, booleans, numbers, strings, lists and objects with string keys"

LARGEST_EXACT_INTEGER = 2**53 - 1
"""The largest integer that every JSON reader keeps exactly (RFC 7493, 2.2)."""


class CanonicalError(ValueError):
    """The value has no canonical JSON form; the text names the place inside it."""


def canonical(value: object) -> bytes:
    """Return the RFC 8785 form of `value` as UTF-8 bytes.

    Tuples count as lists. Raises CanonicalError for NaN, infinities, integers beyond ±(2**53 - 1), lone surrogates,
    keys that are no strings, and every other type.
    """
    if _is_plain(value):
        text = _encode(value)
    else:
        parts: list[str] = []
        _write(value, "$", parts)
        text = "".join(parts)
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise CanonicalError("a string holds a lone surrogate, which has no UTF-8 form") from error


def digest(value: object) -> str:
    """Return `sha256:` and the hexadecimal SHA-256 of the canonical form of `value`."""
    return digest_of_bytes(canonical(value))


def digest_of_bytes(data: bytes) -> str:
    """Return `sha256:` and the hexadecimal SHA-256 of `data`."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


_encode: Final = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), sort_keys=True, check_circular=False, allow_nan=False
).encode
"""Many times as fast as `_write`, and right for what `_is_plain` holds of."""


def _is_plain(value: object) -> bool:
    """Return whether the standard encoder gives the canonical form of a value.

    Not for floats, which it writes otherwise, nor for keys beyond ASCII, which it may sort otherwise.
    """
    waiting: list[Any] = [value]
    while waiting:
        each = waiting.pop()
        kind = type(each)
        if kind is str or each is None or kind is bool:
            continue
        if kind is int:
            if not -LARGEST_EXACT_INTEGER <= each <= LARGEST_EXACT_INTEGER:
                return False
        elif kind is dict:
            for key in each:
                if type(key) is not str or not key.isascii():
                    return False
            waiting += each.values()
        elif kind is list or kind is tuple:
            waiting += each
        else:
            return False
    return True


def _write(value: object, place: str, parts: list[str]) -> None:
    match value:
        case None:
            parts.append("null")
        case bool():
            parts.append("true" if value else "false")
        case str():
            parts.append(json.dumps(value, ensure_ascii=False))
        case int():
            if abs(value) > LARGEST_EXACT_INTEGER and not _is_written_double(value, place):
                raise CanonicalError(f"{place}: {value} is beyond ±(2^53 - 1), which JSON readers do not keep exactly")
            parts.append(str(int(value)))
        case float():
            parts.append(_number(value, place))
        case Mapping():
            _write_object(value, place, parts)
        case Sequence() if not isinstance(value, bytes | bytearray | memoryview):
            _write_list(value, place, parts)
        case _:
            raise CanonicalError(f"{place}: {type(value).__name__} has no canonical form; {_ALLOWED}")


def _is_written_double(value: int, place: str) -> bool:
    """Return whether these are the digits in which a double is written: then it is one that was read back."""
    return abs(value) < 10**21 and _number(float(value), place) == str(value)


def _write_object(value: Mapping[object, object], place: str, parts: list[str]) -> None:
    for key in value:
        if not isinstance(key, str):
            raise CanonicalError(f"{place}: key {key!r} is no string; {_ALLOWED}")
    parts.append("{")
    # RFC 8785, 3.2.3: keys are ordered by their UTF-16 code units.
    for count, key in enumerate(sorted(value, key=_utf16)):
        parts.append(("," if count else "") + json.dumps(key, ensure_ascii=False) + ":")
        _write(value[key], f"{place}.{key}", parts)
    parts.append("}")


def _write_list(value: Sequence[object], place: str, parts: list[str]) -> None:
    parts.append("[")
    for index, item in enumerate(value):
        if index:
            parts.append(",")
        _write(item, f"{place}[{index}]", parts)
    parts.append("]")


def _utf16(key: object) -> bytes:
    return str(key).encode("utf-16-be", "surrogatepass")


def _number(value: float, place: str) -> str:
    """Write a number as ECMAScript's Number::toString does (RFC 8785, 3.2.2.3)."""
    if not math.isfinite(value):
        raise CanonicalError(f"{place}: {value} is no JSON number")
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    mantissa, _, exponent_text = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    fraction = "" if fraction == "0" else fraction
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + int(exponent_text or 0) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    return sign + _place_point(digits, point)


def _place_point(digits: str, point: int) -> str:
    """Put the decimal point after `point` digits, with an exponent outside ECMAScript's plain range."""
    count = len(digits)
    if count <= point <= 21:
        return digits + "0" * (point - count)
    if 0 < point <= 21:
        return digits[:point] + "." + digits[point:]
    if -6 < point <= 0:
        return "0." + "0" * -point + digits
    exponent = point - 1
    mantissa = digits if count == 1 else digits[0] + "." + digits[1:]
    return f"{mantissa}e{'+' if exponent > 0 else '-'}{abs(exponent)}"
