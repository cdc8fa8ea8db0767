"""Secret values do not leave in any of the forms that they are known to take; the one rule of agent and coordinator."""

import base64
import json
import subprocess
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pilotage_proto.redaction import MASK, SHORTEST_LINE, Redactor

SECRET = b'p@ss/w\xc3\xb6rd "+quoted"\\ 7!'
TEXT = SECRET.decode()
MARK = MASK.encode()

FORMS = {
    "raw": SECRET,
    "hex": SECRET.hex().encode(),
    "HEX": SECRET.hex().upper().encode(),
    "url": quote(TEXT, safe="").encode(),
    "url path": quote(TEXT).encode(),
    "url form": quote_plus(TEXT).encode(),
    "url lower": quote(TEXT, safe="").lower().encode(),
    "json": json.dumps(TEXT).encode(),
    "json unicode": json.dumps(TEXT, ensure_ascii=False).encode(),
    "json in json": json.dumps(json.dumps(TEXT)).encode(),
    "json upper": json.dumps(TEXT).replace("\\u00f6", "\\u00F6").encode(),
    "whole base64": b"is " + base64.b64encode(SECRET) + b" no?",
    **{f"base64 +{n}": base64.b64encode(b"x" * n + SECRET + b"tail") for n in range(3)},
    **{f"base64url +{n}": base64.urlsafe_b64encode(b"x" * n + SECRET) for n in range(3)},
    **{f"basic auth {len(user)}": base64.b64encode(user + b":" + SECRET) for user in (b"a", b"ab", b"abc")},
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_found_whole_and_at_every_chunk_border(form: str) -> None:
    redactor = Redactor([SECRET])
    data = b"before " + FORMS[form] + b" after"
    whole = redactor.data(data)
    assert MARK in whole
    assert whole.startswith(b"before ")
    assert whole.endswith(b" after")
    core = FORMS[form][4:-8]
    assert core[:8] not in whole
    for border in range(len(data) + 1):
        stream = redactor.stream()
        assert stream.feed(data[:border]) + stream.feed(data[border:]) + stream.finish() == whole


def test_ordinary_text_passes_and_is_not_held_back() -> None:
    stream = Redactor([b"topsecret"]).stream()
    assert stream.feed(b"all is well\n") == b"all is well\n"
    assert stream.feed(b"it is top") == b"it is "
    assert stream.feed(b" of the hill") == b"top of the hill"
    assert stream.finish() == b""


def test_lines_of_a_value_are_found_by_themselves() -> None:
    key = b"-----BEGIN KEY-----\nabcdefgh12345678\nijklmnop\n-----END KEY-----\n"
    assert Redactor([key]).data(b"line: abcdefgh12345678!") == b"line: " + MARK + b"!"


def test_a_value_inside_another_is_no_loophole() -> None:
    redactor = Redactor([b"secret", b"secret-and-more"])
    assert redactor.data(b"secret-and-more secret") == MARK + b" " + MARK
    stream = redactor.stream()
    assert stream.feed(b"x secret-an") == b"x "
    assert stream.feed(b"d-more y") + stream.finish() == MARK + b" y"
    stream = redactor.stream()
    assert stream.feed(b"secret-an") + stream.finish() == MARK + b"-an"


def test_short_and_empty_values_are_left_alone() -> None:
    assert Redactor([b"", b"abc"]).data(b"abc abc") == b"abc abc"
    assert Redactor([]).stream().feed(b"x") == b"x"
    assert Redactor([]).value({"a": ["b"]}) == {"a": ["b"]}


def test_json_values_are_redacted_inside() -> None:
    value = {"password": TEXT, TEXT: 1, "list": [TEXT, 5, None, {"x": f"a{TEXT}b"}]}
    assert Redactor([SECRET]).value(value) == {
        "password": MASK,
        MASK: 1,
        "list": [MASK, 5, None, {"x": f"a{MASK}b"}],
    }


@given(
    values=st.lists(st.binary(min_size=4, max_size=12).map(lambda b: bytes(97 + x % 3 for x in b)), max_size=4),
    pieces=st.lists(st.binary(max_size=20).map(lambda b: bytes(97 + x % 3 for x in b)), max_size=8),
)
def test_a_stream_gives_what_the_whole_gives(values: list[bytes], pieces: list[bytes]) -> None:
    redactor = Redactor(values)
    stream = redactor.stream()
    streamed = b"".join(stream.feed(piece) for piece in pieces) + stream.finish()
    assert streamed == redactor.data(b"".join(pieces))
    assert not any(value in streamed for value in values if len(value) > len(MARK))


def test_a_hostile_stream_costs_no_square_of_its_length() -> None:
    redactor = Redactor([b"a" * 4_000 + b"b"])
    stream = redactor.stream()
    for _ in range(50):
        stream.feed(b"a" * 4_000)
    assert stream.finish()


@pytest.mark.parametrize("width", [64, 76])
def test_base64_in_lines_is_found_line_by_line(width: int) -> None:
    value = bytes(range(33, 127)) * 3
    coded = base64.b64encode(value)
    for start in range(0, len(coded) - SHORTEST_LINE, width):
        line = coded[start : start + width]
        assert Redactor([value]).data(b"  " + line) == b"  " + MARK


def test_nothing_of_whole_base64_is_left_over() -> None:
    for length in range(4, 12):
        value = bytes(range(200, 200 + length))
        for coded in (base64.b64encode(value), base64.b64encode(value).rstrip(b"="), base64.urlsafe_b64encode(value)):
            assert Redactor([value]).data(coded) == MARK


def test_a_traced_shell_command_does_not_tell() -> None:
    done = subprocess.run(["sh", "-xc", 'true "$1"', "sh", "it's a key"], capture_output=True, check=True)
    assert b"a key" in done.stderr
    assert b"a key" not in Redactor([b"it's a key"]).data(done.stderr)


def test_bytes_that_are_no_text_are_found_as_logs_show_them() -> None:
    value = b"\xff\xfekey\x00\x80"
    assert Redactor([value]).text(value.decode("utf-8", "backslashreplace")) == MASK


def test_a_number_that_is_a_value_is_hidden_and_others_stay() -> None:
    assert Redactor([b"4711"]).value({"pin": 4711, "n": 12, "yes": True, "no": None}) == {
        "pin": MASK, "n": 12, "yes": True, "no": None,
    }  # fmt: skip


@given(value=st.binary(min_size=4, max_size=12), text=st.text(alphabet="aöb\ud800\U0001f600", max_size=20))
def test_no_text_is_too_odd(value: bytes, text: str) -> None:
    redactor = Redactor([value, text.encode("utf-8", "surrogatepass")[1:]])
    assert isinstance(redactor.text(text), str)
