"""An upgrade that was planned, and what has become of it since."""

from typing import Any

import pytest
from pilotage_plugin_api import TargetFailed
from pilotage_plugins.package.expected import ExpectedChange, must_be_as_planned
from pilotage_plugins.package.system import PlannedChange

ONE: dict[str, Any] = {"package": "nginx", "before": "1", "after": "2", "download_bytes": 5, "security": True}
TWO: dict[str, Any] = {"package": "curl", "before": "7", "after": "8"}
NEW: dict[str, Any] = {"package": "libx", "before": "", "after": "1"}
GONE: dict[str, Any] = {"package": "old", "before": "1", "after": ""}
NOW = {"nginx": "1", "curl": "7", "old": "1"}


def check(planned: list[dict[str, Any]], offered: list[dict[str, Any]], now: dict[str, str], **more: bool) -> None:
    expected = [ExpectedChange(**PlannedChange(**each).model_dump()) for each in planned]
    must_be_as_planned(expected, [PlannedChange(**each) for each in offered], now, **more)


def test_what_was_planned_may_be_done_and_so_may_the_rest_of_it() -> None:
    check([ONE, TWO, NEW, GONE], [GONE, NEW, TWO, ONE], NOW)
    check([ONE, TWO, NEW, GONE], [TWO], {"nginx": "2", "curl": "7", "libx": "1"})
    check([ONE], [{**ONE, "way_back": False, "download_bytes": 6}], NOW)
    check([], [], NOW)


@pytest.mark.parametrize(
    ("planned", "offered", "now", "told"),
    [
        ([ONE], [{**ONE, "after": "3"}], NOW, "nginx was planned as 1 -> 2, and would be 1 -> 3"),
        ([ONE], [{**ONE, "before": "1.5"}], {"nginx": "1.5"}, "nginx was planned as 1 -> 2, and would be 1.5 -> 2"),
        ([ONE], [ONE, NEW], NOW, r"libx would be changed \(nothing -> 1\), which was not planned"),
        ([], [TWO], NOW, r"curl would be changed \(7 -> 8\)"),
        ([ONE, TWO], [ONE], NOW, "curl was planned as 7 -> 8, and would stay at 7"),
        ([ONE], [], {"nginx": "3"}, "nginx was planned as 1 -> 2, and would stay at 3"),
        ([NEW], [], NOW, "libx was planned as nothing -> 1, and would stay at nothing"),
        ([GONE], [], NOW, "old was planned as 1 -> nothing, and would stay at 1"),
        ([], [{**TWO, "package": f"c{each}"} for each in range(12)], NOW, "; and 2 more"),
    ],
)
def test_anything_else_is_refused_by_name(
    planned: list[dict[str, Any]], offered: list[dict[str, Any]], now: dict[str, str], told: str
) -> None:
    with pytest.raises(TargetFailed, match=rf"{told}.*Nothing was upgraded: make the plan again"):
        check(planned, offered, now)


def test_what_an_earlier_attempt_left_may_be_at_any_version_on_its_way() -> None:
    check([ONE], [{**ONE, "before": ""}], NOW, begun=True)
    with pytest.raises(TargetFailed, match="would be nothing -> 3"):
        check([ONE], [{**ONE, "before": "", "after": "3"}], NOW, begun=True)
