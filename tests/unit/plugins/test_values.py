"""Durations, sizes, modes and references to secrets are read as documented, and nothing else is."""

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pilotage_plugin_api import BlueprintFile, Duration, FileMode, SecretRef, Size, StepParams
from pilotage_plugin_api.values import format_duration, parse_duration, parse_mode, parse_size
from pydantic import ValidationError


class _Params(StepParams):
    pause: Duration = timedelta(0)
    room: Size = 0
    mode: FileMode = 0o644
    password: SecretRef | None = None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("10s", 10), ("5m", 300), ("1h30m", 5400), ("2d", 172800), ("250ms", 0.25), (7, 7), (0.5, 0.5), ("1.5h", 5400)],
)
def test_durations_are_read(text: object, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text",
    ["", "10", "s", "-1s", "1h 30m", "1y", "10s\n", -1, float("nan"), float("inf"), True, None, [], "9" * 99 + "d"],
)
def test_other_durations_are_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r"no duration|hundred years"):
        parse_duration(text)


@given(st.integers(0, 10**10))
def test_a_duration_is_read_back_as_written(milliseconds: int) -> None:
    duration = timedelta(milliseconds=milliseconds)
    assert parse_duration(format_duration(duration)) == duration


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("10GiB", 10 * 2**30),
        ("500MB", 500_000_000),
        ("64K", 65536),
        ("1kB", 1000),
        ("0", 0),
        ("12B", 12),
        (9, 9),
        ("1.5KiB", 1536),
    ],
)
def test_sizes_are_read(text: object, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GiB", "-1", "10 XB", "1e3", "64K\n", -1, 1.5, True, None, "9" * 31 + "P", 2**63])
def test_other_sizes_are_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r"no size|not between"):
        parse_size(text)


@pytest.mark.parametrize("text", [644, 420, "9", "0o644", "rw-r--r--", "77777", None, "0644\n"])
def test_modes_must_be_quoted_octal(text: object) -> None:
    assert parse_mode("0644") == 0o644
    with pytest.raises(ValueError, match="quotes"):
        parse_mode(text)


@pytest.mark.parametrize("name", ["restic/web1", "a", "db/host.example/app@1"])
def test_a_reference_to_a_secret_is_a_name(name: str) -> None:
    params = _Params.model_validate({"password": f"secret://{name}"})
    assert params.password == SecretRef(name)
    assert params.model_dump(mode="json")["password"] == f"secret://{name}"


@pytest.mark.parametrize(
    "value",
    [
        "hunter2",
        "secret://",
        "secret:///etc",
        "secret://a/../b c",
        "secret://a\n",
        5,
        None,
        "secret://a//b",
        "secret://" + "a" * 300,
    ],
)
def test_what_is_no_reference_is_refused_without_being_shown(value: Any) -> None:
    with pytest.raises(ValueError, match="no reference") as caught:
        SecretRef.parse(value)
    assert "hunter2" not in str(caught.value)


def test_values_survive_json() -> None:
    params = _Params.model_validate({"pause": "1h30m", "room": "10GiB", "mode": "0640", "password": "secret://x"})
    again = _Params.model_validate(json.loads(json.dumps(params.model_dump(mode="json"))))
    assert again == params


def test_the_schema_marks_references() -> None:
    schema = json.dumps(_Params.model_json_schema())
    assert "pilotage-secret" in schema


def test_unknown_fields_are_refused() -> None:
    with pytest.raises(ValidationError, match="extra_forbidden"):
        _Params.model_validate({"paws": "1s"})


class _WithFile(StepParams):
    one_of = ("text", "file")

    text: str | None = None
    file: BlueprintFile | None = None


def test_a_file_of_the_blueprint_comes_with_its_text() -> None:
    params = _WithFile.model_validate({"file": {"name": "a.sh", "text": "echo ü"}})
    assert params.file == BlueprintFile("a.sh", "echo ü")
    assert _WithFile.model_validate(json.loads(json.dumps(params.model_dump(mode="json")))) == params
    assert "echo" not in repr(params)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("a.sh", "without its text"),
        ({"name": "a.sh"}, "no file of the blueprint"),
        ({"name": "a.sh", "text": "x", "more": 1}, "no file of the blueprint"),
        ({"name": "a.sh", "text": "ü" * 131_073}, "larger than 262144 bytes"),
        (5, "no file of the blueprint"),
    ],
)
def test_anything_else_is_refused(value: object, problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        _WithFile.model_validate({"file": value})


def test_exactly_one_of_several_is_given_and_the_schema_says_so() -> None:
    for wrong, problem in (({}, "one of text, file is needed"), ({"text": "a", "file": None}, "")):
        if problem:
            with pytest.raises(ValidationError, match=problem):
                _WithFile.model_validate(wrong)
        else:
            _WithFile.model_validate(wrong)
    with pytest.raises(ValidationError, match="give only one of text, file"):
        _WithFile.model_validate({"text": "a", "file": {"name": "a", "text": ""}})
    assert _WithFile.model_json_schema()["oneOf"] == [{"required": ["text"]}, {"required": ["file"]}]
    assert "oneOf" not in _Params.model_json_schema()
