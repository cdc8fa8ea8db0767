"""Durations, sizes, percentages and shares: read, written, and read again."""

import pytest
from hypothesis import given
from hypothesis import strategies as some
from pilotage_coordinator.domain.errors import ValueRefused
from pilotage_coordinator.domain.share import Share
from pilotage_coordinator.domain.values import (
    DAY,
    HOUR,
    LARGEST_SIZE,
    LONGEST_DURATION,
    MILLISECOND,
    MINUTE,
    SECOND,
    parse_duration,
    parse_size,
    read_share,
    write_duration,
    write_size,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0s", 0),
        ("10s", 10 * SECOND),
        ("5m", 5 * MINUTE),
        ("1h30m", HOUR + 30 * MINUTE),
        ("2d", 2 * DAY),
        ("250ms", 250 * MILLISECOND),
        ("1m250ms", MINUTE + 250 * MILLISECOND),
        ("90m", 90 * MINUTE),
    ],
)
def test_durations(text: str, value: int) -> None:
    assert parse_duration(text) == value


@pytest.mark.parametrize("text", ["", "5", "5 m", "-5m", "5m1h", "1.5h", "5M", "5min", "m", "99999d", "٣s", "5m\n"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueRefused):
        parse_duration(text)


@given(some.integers(0, LONGEST_DURATION // MILLISECOND))
def test_a_duration_survives_being_written(milliseconds: int) -> None:
    assert parse_duration(write_duration(milliseconds * MILLISECOND)) == milliseconds * MILLISECOND


@pytest.mark.parametrize(
    ("text", "value"),
    [("0", 0), ("512", 512), ("1KiB", 1024), ("10GiB", 10 * 2**30), ("1.5 GB", 1_500_000_000), ("4MB", 4_000_000)],
)
def test_sizes(text: str, value: int) -> None:
    assert parse_size(text) == value


@pytest.mark.parametrize("text", ["", "GiB", "-1", "1XB", "1e3", "9999999PiB", "1.GiB", "١GiB"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueRefused):
        parse_size(text)


@given(some.integers(0, LARGEST_SIZE))
def test_a_size_survives_being_written(size: int) -> None:
    assert parse_size(write_size(size)) == size


@pytest.mark.parametrize(
    ("value", "share"),
    [(0, Share(0)), (4, Share(4)), ("4", Share(4)), ("20%", Share(20, True)), ("100%", Share(100, True))],
)
def test_shares(value: object, share: Share) -> None:
    assert read_share(value) == share


@pytest.mark.parametrize("value", [-1, True, 1.5, None, "x", "0%", "101%", "2.5%", "%", [], 10**9])
def test_what_is_no_share(value: object) -> None:
    with pytest.raises(ValueRefused):
        read_share(value)
