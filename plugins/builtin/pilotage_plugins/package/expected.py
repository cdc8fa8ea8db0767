"""What a plan said that an upgrade would change, held against what it would change now."""

from collections.abc import Iterator, Mapping, Sequence

from pilotage_plugin_api import StepParams, TargetFailed
from pydantic import Field

from pilotage_plugins.package.apt import PackageName
from pilotage_plugins.package.system import PlannedChange

_MOST_TOLD = 10


class ExpectedChange(StepParams):
    """A change as package.plan tells it. Which package and versions must be as they are now; the rest is for people."""

    package: PackageName
    before: str = Field("", max_length=200)
    after: str = Field("", max_length=200)
    security: bool = False
    download_bytes: int = 0
    way_back: bool = True


def must_be_as_planned(
    expected: Sequence[ExpectedChange],
    changes: Sequence[PlannedChange],
    installed: Mapping[str, str],
    *,
    begun: bool = False,
) -> None:
    """Raise TargetFailed, naming the differences, unless these changes are the expected ones, but for those that are
    done. `begun`: an earlier attempt has made some of them, so versions from before may be any."""
    wrong = list(_differences(expected, changes, installed, begun))
    if wrong:
        more = f"; and {len(wrong) - _MOST_TOLD} more" if len(wrong) > _MOST_TOLD else ""
        raise TargetFailed(
            f"what would be changed is not what was planned: {'; '.join(wrong[:_MOST_TOLD])}{more}."
            " Nothing was upgraded: make the plan again"
        )


def _differences(
    expected: Sequence[ExpectedChange], changes: Sequence[PlannedChange], installed: Mapping[str, str], begun: bool
) -> Iterator[str]:
    planned = {each.package: each for each in expected}
    now = {each.package: each for each in changes}
    for name, change in now.items():
        if name not in planned:
            yield f"{name} would be changed ({_way(change.before, change.after)}), which was not planned"
        elif change.after != planned[name].after or (change.before != planned[name].before and not begun):
            was = _way(planned[name].before, planned[name].after)
            yield f"{name} was planned as {was}, and would be {_way(change.before, change.after)}"
    for name, each in planned.items():
        there = installed.get(name, "")
        if name not in now and there != each.after:
            yield f"{name} was planned as {_way(each.before, each.after)}, and would stay at {there or 'nothing'}"


def _way(before: str, after: str) -> str:
    return f"{before or 'nothing'} -> {after or 'nothing'}"
