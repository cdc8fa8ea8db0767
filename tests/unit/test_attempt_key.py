"""The attempt key survives its one-line form, whatever its parts hold."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pilotage_proto.attempt import AttemptKey, AttemptKind, parse_attempt_key

paths = st.lists(st.from_regex(r"[a-z][a-z0-9_]{0,9}", fullmatch=True), min_size=1, max_size=4).map("/".join)


@given(
    execution=st.text(),
    path=paths,
    host=st.text(),
    item=st.text(),
    kind=st.sampled_from(AttemptKind),
    attempt=st.integers(1, 10_000),
)
def test_a_key_is_read_back_as_written(
    execution: str, path: str, host: str, item: str, kind: AttemptKind, attempt: int
) -> None:
    key = AttemptKey(execution, path, host, item, kind, attempt)
    assert parse_attempt_key(str(key)) == key


@pytest.mark.parametrize("text", ["", "a/b/c/d/run", "a/b/c/d/walk/1", "a/b/c/d/run/one"])
def test_other_text_is_refused_and_quoted(text: str) -> None:
    with pytest.raises(ValueError, match="no attempt key"):
        parse_attempt_key(text)
