"""Canonical JSON: the RFC's own examples, and agreement with the parser."""

import json
import math
import struct
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pilotage_proto.canonical import LARGEST_EXACT_INTEGER, CanonicalError, canonical, digest

# RFC 8785, appendix B: the bits of a double and its text.
RFC_NUMBERS = [
    ("0000000000000000", "0"),
    ("8000000000000000", "0"),
    ("0000000000000001", "5e-324"),
    ("8000000000000001", "-5e-324"),
    ("7fefffffffffffff", "1.7976931348623157e+308"),
    ("4340000000000000", "9007199254740992"),
    ("4430000000000000", "295147905179352830000"),
    ("44b52d02c7e14af5", "9.999999999999997e+22"),
    ("44b52d02c7e14af6", "1e+23"),
    ("444b1ae4d6e2ef4e", "999999999999999700000"),
    ("444b1ae4d6e2ef50", "1e+21"),
    ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
    ("3eb0c6f7a0b5ed8d", "0.000001"),
    ("41b3de4355555555", "333333333.3333333"),
    ("becbf647612f3696", "-0.0000033333333333333333"),
]


@pytest.mark.parametrize(("bits", "text"), RFC_NUMBERS)
def test_numbers_are_written_as_the_rfc_lists_them(bits: str, text: str) -> None:
    (value,) = struct.unpack(">d", bytes.fromhex(bits))
    assert canonical(value) == text.encode()


def test_keys_are_ordered_by_utf16_units() -> None:
    value = {"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\x80": 6, "\u00f6": 7}
    assert list(json.loads(canonical(value))) == ["\r", "1", "\x80", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]


def test_strings_are_escaped_minimally() -> None:
    assert canonical('\u20ac$\x0f\nA\'B"\\\\"/') == b'"\xe2\x82\xac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"'


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
)


@given(json_values)
def test_a_reader_gets_back_what_was_written_and_writing_again_changes_nothing(value: object) -> None:
    once = canonical(value)
    back = json.loads(once, parse_int=_as_a_reader_of_doubles)
    assert back == value
    assert canonical(back) == once


@given(st.dictionaries(st.text(max_size=4), json_values, max_size=4))
def test_the_short_way_writes_what_the_long_way_writes(value: dict[str, object]) -> None:
    assert canonical(value) == canonical(MappingProxyType(value))


def _as_a_reader_of_doubles(text: str) -> float:
    return int(text) if abs(int(text)) <= LARGEST_EXACT_INTEGER else float(text)


@pytest.mark.parametrize("value", [math.nan, math.inf, 2**53 + 1, 10**21, {1: "a"}, b"raw", {"a": object()}, "\ud800"])
def test_values_without_a_canonical_form_are_refused(value: object) -> None:
    with pytest.raises(CanonicalError):
        canonical(value)


def test_a_digest_names_its_algorithm_and_ignores_key_order() -> None:
    assert digest({"a": 1, "b": [True, None]}) == digest({"b": (True, None), "a": 1})
    assert digest({}).startswith("sha256:")


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_that_was_read_back_is_written_as_before(value: float) -> None:
    written = canonical(value)
    assert canonical(json.loads(written)) == written
