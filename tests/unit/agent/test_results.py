"""The digest of a result is that of its canonical form, however it is put together."""

import json

from hypothesis import given
from hypothesis import strategies as st
from pilotage_agent.messages import Outcome
from pilotage_agent.results import bounded, make_result
from pilotage_proto.canonical import canonical, digest
from pilotage_proto.limits import LARGEST_OUTPUTS

from tests.unit.agent.world import key

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
NUMBERS = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
OUTPUTS = st.dictionaries(TEXT, VALUES, max_size=3)


@given(OUTPUTS, st.text(), st.sampled_from(Outcome))
def test_the_digest_covers_outcome_outputs_and_error(outputs: dict[str, object], error: str, outcome: Outcome) -> None:
    result = make_result(key(), 1, outcome, outputs=outputs, error=error)
    assert result.digest == digest({"outcome": outcome.value, "outputs": outputs, "error": bounded(error)})


@given(OUTPUTS)
def test_the_digest_is_the_same_for_who_reads_the_outputs(outputs: dict[str, object]) -> None:
    """The coordinator recomputes it from what it has read."""
    result = make_result(key(), 1, Outcome.SUCCEEDED, outputs=outputs)
    assert canonical(json.loads(result.outputs)) == result.outputs
    assert result.digest == digest({"outcome": "succeeded", "outputs": json.loads(result.outputs), "error": ""})


def test_outputs_that_a_mask_has_made_too_large_fail_the_step() -> None:
    result = make_result(key(), 1, Outcome.SUCCEEDED, outputs={"text": "x" * LARGEST_OUTPUTS})
    assert (result.outcome, result.outputs) == (Outcome.FAILED, b"{}")
    assert f"{LARGEST_OUTPUTS + 11} bytes, the limit is {LARGEST_OUTPUTS}" in result.error


def test_outputs_without_a_canonical_form_fail_the_step_and_the_digest_says_so() -> None:
    result = make_result(key(), 1, Outcome.SUCCEEDED, outputs={"n": float("nan")})
    assert (result.outcome, result.outputs) == (Outcome.FAILED, b"{}")
    assert "$.n: nan is no JSON number" in result.error
    assert result.digest == digest({"outcome": "failed", "outputs": {}, "error": result.error})
