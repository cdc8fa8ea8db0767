"""Join tokens."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pilotage_coordinator.security.errors import TokenRefused
from pilotage_coordinator.security.tokens import JoinToken, new_secret, parse_token, same_digest, secret_digest

SECRET = new_secret(bytes(range(32)))
TOKEN = JoinToken("coordinator:7444", "ab" * 32, SECRET)


@pytest.mark.parametrize("token", [TOKEN, JoinToken("[::1]:7444", "ab" * 32, SECRET, "db1")])
def test_a_token_is_read_back(token: JoinToken) -> None:
    assert parse_token(str(token)) == token
    assert parse_token(str(token)) == parse_token(str(token) + "=" * (-len(str(token)[5:]) % 4))


def test_the_form_is_the_documented_one() -> None:
    encoded = str(TOKEN).removeprefix("plg1.")
    content = json.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    assert content == {"a": "coordinator:7444", "p": "ab" * 32, "t": SECRET}
    assert "=" not in str(TOKEN)


def test_a_secret_needs_all_its_randomness() -> None:
    assert len(SECRET) == 43
    with pytest.raises(ValueError, match="32 random bytes"):
        new_secret(bytes(31))


def test_digests_tell_secrets_apart() -> None:
    assert same_digest(secret_digest(SECRET), secret_digest(SECRET))
    assert not same_digest(secret_digest(SECRET), secret_digest(SECRET + "x"))
    assert SECRET not in secret_digest(SECRET)
    assert secret_digest("\ud800")


def encode(value: object) -> str:
    return "plg1." + base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "plg1.",
        "plg2." + str(TOKEN)[5:],
        str(TOKEN)[:-10],
        "plg1.***",
        "plg1.é",
        encode([]),
        encode("x"),
        encode({"a": "h:1", "p": "ab" * 32}),
        encode({"a": 1, "p": "ab" * 32, "t": "x"}),
        encode({"a": "h:1", "p": "AB" * 32, "t": "x"}),
        encode({"a": "h:1", "p": "ab" * 32, "t": ""}),
        encode({"a": "h", "p": "ab" * 32, "t": "x"}),
        encode({"a": "h:1", "p": "ab" * 32, "t": "x", "n": 5}),
        "plg1." + "A" * 3_000,
    ],
)
def test_damaged_tokens_are_refused_without_repeating_them(text: str) -> None:
    with pytest.raises(TokenRefused) as refused:
        parse_token(text)
    assert len(text) < 10 or text[5:] not in str(refused.value)


@given(st.text(max_size=80))
def test_no_text_breaks_the_reader(text: str) -> None:
    with pytest.raises(TokenRefused):
        parse_token("plg1." + text)
