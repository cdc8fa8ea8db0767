"""What agents announce is read once for all hosts that announce the same, and never taken for something else."""

import json

from pilotage_coordinator.runtime.inventory import LONGEST_REASON, StepTypeReader


def _announced(minimum: object) -> tuple[dict[str, object], ...]:
    text = json.dumps([{"name": "file.write", "effect": "once", "params_schema": {"minimum": minimum}}])
    return tuple(json.loads(text))


def test_equal_announcements_share_what_was_read_of_them() -> None:
    reader = StepTypeReader()
    assert reader.read(_announced(1)) is reader.read(_announced(1))  # type: ignore[arg-type]


def test_what_is_not_available_keeps_its_reason_and_its_digest() -> None:
    reader = StepTypeReader()
    (bare,) = _announced(1)
    whole = reader.read((bare,))["file.write"]  # type: ignore[arg-type]
    gone = reader.read(({**bare, "available": False, "reason": "x" * 10_000},))["file.write"]  # type: ignore[dict-item]
    assert (whole.available, whole.reason) == (True, "")
    assert (gone.available, gone.reason) == (False, "x" * LONGEST_REASON)
    assert gone.digest == whole.digest


def test_announcements_that_are_equal_for_python_only_are_told_apart() -> None:
    reader = StepTypeReader()
    digests = {reader.read(_announced(each))["file.write"].digest for each in (1, True, 2)}  # type: ignore[arg-type]
    assert len(digests) == 3
