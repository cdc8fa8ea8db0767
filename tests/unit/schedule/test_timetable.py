"""Intervals, single times, bounds, notes, times that people write, and the jitter."""

from datetime import UTC, datetime

import pytest
from pilotage_coordinator.domain.schedule.codec import delay, timetable_of, to_json
from pilotage_coordinator.domain.schedule.cron import parse_cron
from pilotage_coordinator.domain.schedule.errors import ScheduleRefused
from pilotage_coordinator.domain.schedule.timetable import Every, Once, Timetable, check
from pilotage_coordinator.domain.schedule.words import in_words
from pilotage_coordinator.domain.schedule.zone import read_time, zone_named
from pilotage_coordinator.domain.values import DAY, HOUR, MINUTE, SECOND

BERLIN = zone_named("Europe/Berlin")


def at(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * SECOND


NOW = at("2026-03-28T10:00:30")


def first(table: Timetable, count: int, after: int = NOW) -> list[str]:
    times = (each.nominal // SECOND for each in table.upcoming(after, count))
    return [datetime.fromtimestamp(each, UTC).strftime("%m-%d %H:%M") for each in times]


def test_an_interval_counts_real_time_from_its_anchor_both_ways() -> None:
    table = Timetable(Every(90 * MINUTE, NOW))
    assert first(table, 3) == ["03-28 11:30", "03-28 13:00", "03-28 14:30"]
    assert table.next_after(NOW - 1) == NOW
    assert table.next_after(NOW - HOUR) == NOW
    assert table.next_after(NOW - 2 * HOUR) == NOW - 90 * MINUTE


def test_a_single_time_comes_once() -> None:
    table = Timetable(Once(NOW + 5))
    assert (table.next_after(NOW), table.next_after(NOW + 5)) == (NOW + 5, None)


def test_start_and_end_belong_to_it() -> None:
    table = Timetable(parse_cron("0 12 * * *"), start=at("2026-04-01T12:00:00"), end=at("2026-04-03T12:00:00"))
    assert first(table, 9) == ["04-01 12:00", "04-02 12:00", "04-03 12:00"]


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (Timetable(Once(NOW)), "is over"),
        (Timetable(Every(59 * SECOND, NOW)), "a minute or longer"),
        (Timetable(parse_cron("0 12 * * *"), end=NOW), "never fires"),
        (Timetable(parse_cron("0 0 29 2 *"), end=NOW + 300 * DAY), "never fires"),
        (Timetable(parse_cron("@daily"), start=NOW + DAY, end=NOW), "ends before it starts"),
        (Timetable(Once(NOW + 101 * 366 * DAY)), "hundred years"),
    ],
)
def test_what_never_comes_is_refused(table: Timetable, says: str) -> None:
    with pytest.raises(ScheduleRefused, match=says):
        check(table, NOW)


def test_the_twenty_ninth_of_february_comes_after_years() -> None:
    assert first(Timetable(parse_cron("0 0 29 2 *")), 1, at("2096-03-01T00:00:00")) == ["02-29 00:00"]
    assert Timetable(parse_cron("0 0 29 2 *")).next_after(at("2096-03-01T00:00:00")) == at("2104-02-29T00:00:00")


@pytest.mark.parametrize(
    ("text", "day", "notes"),
    [
        ("30 2 * * *", "2026-03-28T12:00", ["02:30 does not exist that day: the first moment after it", ""]),
        ("30 2 * * *", "2026-10-24T12:00", ["02:30 comes twice that day: the first time only", ""]),
        (
            "*/30 2 * * *",
            "2026-10-24T12:00",
            [
                "02:00 comes twice that day: the first time",
                "02:30 comes twice that day: the first time",
                "02:00 comes twice that day: the second time",
                "02:30 comes twice that day: the second time",
                "",
            ],
        ),
    ],
)
def test_times_to_come_say_what_a_change_of_the_clock_makes_of_them(text: str, day: str, notes: list[str]) -> None:
    table = Timetable(parse_cron(text), "Europe/Berlin")
    found = table.upcoming(read_time(BERLIN, day) * SECOND, len(notes))
    assert [each.note for each in found] == notes


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("2026-10-25T02:30", r"comes twice.*"),
        ("2026-03-29T02:30", "does not exist"),
        ("next friday", "is no time"),
        ("0001-01-01T00:00:00+14:00", "no time that a schedule can have"),
    ],
)
def test_a_time_that_is_not_one_moment_is_refused(text: str, says: str) -> None:
    with pytest.raises(ScheduleRefused, match=says):
        read_time(BERLIN, text)


def test_the_refusal_of_a_repeated_time_names_both_moments() -> None:
    with pytest.raises(ScheduleRefused) as refused:
        read_time(BERLIN, "2026-10-25T02:30")
    assert refused.value.fix == "write 2026-10-25T02:30:00+02:00 or 2026-10-25T02:30:00+01:00"
    assert read_time(BERLIN, "2026-10-25T02:30+01:00") - read_time(BERLIN, "2026-10-25T02:30+02:00") == 3600


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("Europe/Berln", "Europe/Berlin"),
        ("berlin", "Europe/Berlin"),
        ("new york", "America/New_York"),
        ("localtime", "IANA"),
        ("../../etc/passwd", "IANA"),
        ("Europe/", "Europe"),
        ("", "IANA"),
    ],
)
def test_an_unknown_zone_is_refused_with_one_that_may_be_meant(name: str, fix: str) -> None:
    with pytest.raises(ScheduleRefused, match="no time zone") as refused:
        zone_named(name)
    assert fix in refused.value.fix


@pytest.mark.parametrize("rule", [parse_cron("30 2 * * 1-5"), Every(HOUR, NOW), Once(NOW + HOUR)])
def test_what_is_stored_is_read_back(rule: object) -> None:
    table = Timetable(rule, "Europe/Berlin", NOW, NOW + DAY)  # type: ignore[arg-type]
    assert timetable_of(to_json(table)) == table
    assert "from 2026-03-28T11:00:30+01:00, until" in in_words(table)


def test_the_jitter_is_the_same_for_ever_and_spreads() -> None:
    delays = [delay(f"sch_{n}", 10 * MINUTE) for n in range(500)]
    assert delays == [delay(f"sch_{n}", 10 * MINUTE) for n in range(500)]
    assert all(0 <= each <= 10 * MINUTE and each % SECOND == 0 for each in delays)
    assert min(delays) < MINUTE
    assert max(delays) > 9 * MINUTE
    assert delay("sch_1", 0) == 0
