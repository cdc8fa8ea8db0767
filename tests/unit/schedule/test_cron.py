"""What is no cron expression here, and what to write instead."""

import re

import pytest
from pilotage_coordinator.domain.schedule.cron import parse_cron
from pilotage_coordinator.domain.schedule.errors import ScheduleRefused
from pilotage_coordinator.domain.schedule.words import cron_in_words


@pytest.mark.parametrize(
    ("text", "says", "fix"),
    [
        ("0 0 31 2 *", "never fires", "write L"),
        ("0 0 30,31 feb *", "never fires", "write L"),
        ("0 0 31 4,6,9,11 *", "never fires", "write L"),
        ("R * * * *", "drawn by chance", "jitter"),
        ("0 R(1-3) * * *", "drawn by chance", "jitter"),
        ("H/15 * * * *", "drawn by chance", "jitter"),
        ("0 0 * * * *", "6 fields", "five|day of the week"),
        ("0 0 0 * * * 2030", "7 fields", "schedule's end"),
        ("0 0 * *", "4 fields of five", "write minute"),
        ("", "0 fields", "write minute"),
        ("@every 5m", "no cron expression", "fixed interval"),
        ("@reboot", "names no time", "write minute"),
        ("@fortnightly", "there is no", "@weekly"),
        ("60 * * * *", "'60' is no minute", "0 to 59"),
        ("0 24 * * *", "'24' is no hour", "0 to 23"),
        ("0 0 0 * *", "'0' is no day of the month", "or L"),
        ("0 0 ? * *", "is no day of the month", "or L"),
        ("0 0 * 13 *", "is no month", "jan to dec"),
        ("0 0 * * 8", "is no day of the week", "0 and 7 are Sunday"),
        ("0 0 * * montag", "is no day of the week", "sun to sat"),
        ("1,,2 * * * *", "is no minute", "0 to 59"),
        ("-5 * * * *", "is no minute", "0 to 59"),
        ("１ * * * *", "is no minute", "0 to 59"),
        ("99999999999999999999 * * * *", "is no minute", "0 to 59"),
        ("1/5 * * * *", "disagree", "0-59/5"),
        ("*/0 * * * *", "nothing to step over", "1 to 59"),
        ("*/60 * * * *", "nothing to step over", "fixed interval"),
        ("0 22-2 * * *", "goes backwards", "two ranges"),
        ("0 0 * * sat-mon", "goes backwards", "two ranges"),
        ("0 0 */2 * 1", "both days must fit", "write out"),
        ("0 0 1 * */2", "both days must fit", "write out"),
        ("0 0 1-31 * 1", "names every day", "write `\\*`"),
        ("0 0 1 * 0-6", "names every day", "write `\\*`"),
        ("0 0 1 * fri#2", "day of a certain week", "second Friday"),
        ("0 0 * * fri#6", "no month has that many", "fri#2"),
        ("0 0 * * 1,fri#2", "mixes", "two schedules"),
        ("0 " * 400, "at most 500", "write minute"),
    ],
)
def test_what_cannot_be_is_refused_with_the_fix(text: str, says: str, fix: str) -> None:
    with pytest.raises(ScheduleRefused, match=says) as refused:
        parse_cron(text)
    assert re.search(fix, refused.value.fix), refused.value.fix


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0 2 * * 1-5", "at 02:00 on Monday to Friday"),
        ("@daily", "at 00:00 every day"),
        ("@HOURLY", "at minute 0 of every hour every day"),
        ("*/15 * * * *", "every 15 minutes every day"),
        ("* 3 * * *", "every minute of the hour 03 every day"),
        ("*/7 8-18 * * 1-5", "at minute 0, 7, 14, 21, 28, 35, 42, 49 and 56 of the hours 08 to 18 on Monday to Friday"),
        ("0 */6 * * *", "at 00:00, 06:00, 12:00 and 18:00 every day"),
        ("30 1,2 1,15 * *", "at 01:30 and 02:30 on day 1 and 15 of the month"),
        ("0 9 * * fri#2,mon#1", "at 09:00 on the first Monday and second Friday of the month"),
        (
            "30 4 L 1-3,12 sat-sun",
            "at 04:30 on the last day of the month, and also on Saturday and Sunday, in January to March and December",
        ),
        ("0 2 * * 7,0,6,1", "at 02:00 on Monday, Saturday and Sunday"),
    ],
)
def test_an_expression_is_told_in_words(text: str, words: str) -> None:
    assert cron_in_words(parse_cron(text)) == words


@pytest.mark.parametrize(
    ("text", "fixed"),
    [("0 2 * * *", True), ("0-59 2 * * *", True), ("* 2 * * *", False), ("0 */2 * * *", False), ("@hourly", False)],
)
def test_a_star_in_minute_or_hour_makes_it_no_fixed_time(text: str, fixed: bool) -> None:
    assert parse_cron(text).fixed is fixed
