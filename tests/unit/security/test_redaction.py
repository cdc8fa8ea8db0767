"""Secret values do not leave in any of the forms that they are known to take."""

import base64
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pilotage_coordinator.domain.plan import Json
from pilotage_coordinator.security.redaction import MASK, Redactor

SECRET = b'p@ss/w\xc3\xb6rd "+quoted"\\ 7!'
TEXT = SECRET.decode()

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
    **{f"base64 +{n}": base64.b64encode(b"x" * n + SECRET + b"tail") for n in range(3)},
    **{f"base64url +{n}": base64.urlsafe_b64encode(b"x" * n + SECRET) for n in range(3)},
    **{f"basic auth {len(user)}": base64.b64encode(user + b":" + SECRET) for user in (b"a", b"ab", b"abc")},
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_found_whole_and_at_every_chunk_border(form: str) -> None:
    redactor = Redactor([SECRET])
    data = b"before " + FORMS[form] + b" after"
    whole = redactor.redact(data)
    assert MASK in whole
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
    assert Redactor([key]).redact(b"line: abcdefgh12345678!") == b"line: " + MASK + b"!"


def test_a_value_inside_another_is_no_loophole() -> None:
    redactor = Redactor([b"secret", b"secret-and-more"])
    assert redactor.redact(b"secret-and-more secret") == MASK + b" " + MASK
    stream = redactor.stream()
    assert stream.feed(b"x secret-an") == b"x "
    assert stream.feed(b"d-more y") + stream.finish() == MASK + b" y"
    stream = redactor.stream()
    assert stream.feed(b"secret-an") + stream.finish() == MASK + b"-an"


def test_short_and_empty_values_are_left_alone() -> None:
    assert Redactor([b"", b"abc"]).redact(b"abc abc") == b"abc abc"
    assert Redactor([]).stream().feed(b"x") == b"x"
    assert Redactor([]).redact_json({"a": ["b"]}) == {"a": ["b"]}


def test_json_values_are_redacted_inside() -> None:
    value: Json = {"password": TEXT, TEXT: 1, "list": [TEXT, 5, None, {"x": f"a{TEXT}b"}]}
    mask = MASK.decode()
    assert Redactor([SECRET]).redact_json(value) == {
        "password": mask,
        mask: 1,
        "list": [mask, 5, None, {"x": f"a{mask}b"}],
    }


@given(
    values=st.lists(st.binary(min_size=4, max_size=12).map(lambda b: bytes(97 + x % 3 for x in b)), max_size=4),
    pieces=st.lists(st.binary(max_size=20).map(lambda b: bytes(97 + x % 3 for x in b)), max_size=8),
)
def test_a_stream_gives_what_the_whole_gives(values: list[bytes], pieces: list[bytes]) -> None:
    redactor = Redactor(values)
    stream = redactor.stream()
    streamed = b"".join(stream.feed(piece) for piece in pieces) + stream.finish()
    assert streamed == redactor.redact(b"".join(pieces))
    assert not any(value in streamed for value in values if len(value) > len(MASK))


def test_a_hostile_stream_costs_no_square_of_its_length() -> None:
    redactor = Redactor([b"a" * 4_000 + b"b"])
    stream = redactor.stream()
    for _ in range(50):
        stream.feed(b"a" * 4_000)
    assert stream.finish()
