"""What is given for parameters: coercion, bounds, conditions, and every problem at once."""

import pytest
from pilotage_coordinator.domain.blueprint.errors import BlueprintError
from pilotage_coordinator.domain.blueprint.parameters import resolve_parameters, sensitive_parameters

from tests.unit.blueprint.writing import load, rich


def resolve(parameter: str, value: object) -> object:
    return resolve_parameters(load(rich(f"    parameters: {{p: {parameter}}}")), {"p": value})["p"]


def refusal(parameter: str, value: object) -> str:
    with pytest.raises(BlueprintError) as caught:
        resolve(parameter, value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("parameter", "given", "value"),
    [
        ("{type: string}", "3", "3"),
        ("{type: string}", "true", "true"),
        ("{type: integer}", 3, 3),
        ("{type: integer}", "3", 3),
        ("{type: integer}", "-3", -3),
        ("{type: number}", "2.5", 2.5),
        ("{type: number}", 2, 2),
        ("{type: boolean}", "true", True),
        ("{type: boolean}", "False", False),
        ("{type: boolean}", False, False),
        ("{type: list}", '["a", 1]', ["a", 1]),
        ("{type: list, items: string}", "/srv", ["/srv"]),
        ("{type: list, items: integer}", ["1", 2], [1, 2]),
        ("{type: object}", '{"a": 1}', {"a": 1}),
        ("{type: duration}", "1h30m", "1h30m"),
        ("{type: size}", "10GiB", "10GiB"),
        ("{type: timestamp}", "latest", "latest"),
        ("{type: timestamp}", "2026-01-31T02:00:00Z", "2026-01-31T02:00:00Z"),
        ("{type: host}", "db1", "db1"),
        ("{type: hosts}", "db1", "db1"),
        ("{type: hosts}", "db1, db2", ["db1", "db2"]),
        ("{type: hosts}", '{"select": "host.online"}', {"select": "host.online"}),
        ("{type: image}", "docker.io/library/nginx:1.27", "docker.io/library/nginx:1.27"),
        ("{type: secret}", "secret://restic/db1", "secret://restic/db1"),
        ("{type: string, validation: {pattern: '[a-z]+', max: 3}}", "abc", "abc"),
        ("{type: integer, choices: [1, 2]}", "2", 2),
        ("{type: integer, validation: {that: 'parameters.p % 2 == 0'}}", 4, 4),
    ],
)
def test_a_value_that_is_accepted(parameter: str, given: object, value: object) -> None:
    resolved = resolve(parameter, given)
    assert resolved == value
    assert type(resolved) is type(value)


@pytest.mark.parametrize(
    ("parameter", "given", "words"),
    [
        ("{type: string}", 3, "expected a string, not `3`"),
        ("{type: integer}", "3.5", "expected a whole number"),
        ("{type: integer}", True, "expected a whole number"),
        ("{type: integer}", "NaN", "expected a whole number"),
        ("{type: number}", "1e999", "no JSON form"),
        ("{type: boolean}", "yes", "expected true or false"),
        ("{type: boolean}", 1, "expected true or false"),
        ("{type: list}", "a,b", "expected a list"),
        ("{type: list, items: integer}", [1, "x"], "item 1: expected a whole number"),
        ("{type: list, validation: {max_items: 1}}", [1, 2], "2 items are more than 1"),
        ("{type: object, properties: {a: {type: integer}}}", {"b": 1}, "no property `b`"),
        ("{type: object, properties: {a: {type: integer, required: true}}}", {}, "property `a` is missing"),
        ("{type: duration}", "5 minutes", "is no duration"),
        ("{type: duration, validation: {max: 1h}}", "2h", "above the greatest, 1h"),
        ("{type: size, validation: {min: 1GiB}}", "1MiB", "below the least, 1GiB"),
        ("{type: timestamp}", "2026-01-31T02:00:00", "has no zone"),
        ("{type: timestamp}", "yesterday", "is no time"),
        ("{type: host}", "db 1", "is no host name"),
        ("{type: hosts}", ["db1", "db1"], "named twice"),
        ("{type: hosts}", {"select": "x", "limit": 1}, "expected host names, or {select: CONDITION}"),
        ("{type: secret}", "hunter2", "its value is refused"),
        ("{type: string, validation: {pattern: '[a-z]+'}}", "abc1", "does not match"),
        ("{type: string, validation: {max: 2}}", "abc", "above the greatest, 2 characters"),
        ("{type: string, choices: [alpha, beta]}", "alpa", "did you mean `alpha`?"),
        ("{type: integer, validation: {that: 'parameters.p % 2 == 0'}}", 3, "`parameters.p % 2 == 0` does not hold"),
        ("{type: string, required: true}", None, "`p` is required"),
        ("{type: string}", "x" * 300_000, "at most 262144 are accepted"),
        ("{type: integer}", 2**60, "no JSON form"),
    ],
)
def test_a_value_that_is_refused(parameter: str, given: object, words: str) -> None:
    if given is None:
        with pytest.raises(BlueprintError, match="is required"):
            resolve_parameters(load(rich(f"    parameters: {{p: {parameter}}}")), {})
        return
    assert words in refusal(parameter, given)


def test_a_secret_is_never_quoted_in_an_error() -> None:
    assert "hunter2" not in refusal("{type: secret}", "hunter2")
    assert "hunter2" not in refusal("{type: string, sensitive: true, choices: [a]}", "hunter2")
    assert "hunter2" not in refusal(
        "{type: string, sensitive: true, validation: {that: 'size(parameters.p) > 20'}}", "hunter2"
    )


def test_defaults_and_nothing() -> None:
    blueprint = load(rich("    parameters: {a: {type: integer, default: 3}, b: {type: string}}"))
    assert resolve_parameters(blueprint, {}) == {"a": 3, "b": None}
    assert resolve_parameters(blueprint, {"a": None, "b": None}) == {"a": 3, "b": None}


def test_every_problem_at_once() -> None:
    blueprint = load(rich("    parameters: {count: {type: integer, required: true}, on: {type: boolean}}"))
    with pytest.raises(BlueprintError) as caught:
        resolve_parameters(blueprint, {"cont": 3, "on": "maybe"})
    assert [each.path for each in caught.value.problems] == ["parameters.cont", "parameters.count", "parameters.on"]
    assert caught.value.problems[0].hint == "did you mean `count`?"


def test_sensitive_parameters_with_their_parts() -> None:
    blueprint = load(
        rich(
            "    parameters: {a: {type: secret}, b: {type: string}, "
            "c: {type: object, properties: {d: {type: string, sensitive: true}}}}"
        )
    )
    assert sensitive_parameters(blueprint) == {"a", "c"}


def test_a_pattern_that_backtracks_takes_no_time() -> None:
    assert "does not match" in refusal("{type: string, validation: {pattern: '(a+)+b'}}", "a" * 5_000)
