"""Packages changed in memory: what was planned, the marks of dependencies, and attempts that are cut off."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pilotage_plugin_api import StepContext, StepFailed, TargetFailed
from pilotage_plugin_api.testing import Harness
from pilotage_plugins.note import shelf
from pilotage_plugins.package import install, upgrade
from pilotage_plugins.package.install import PackageInstall
from pilotage_plugins.package.system import PackageChange, PlannedChange
from pilotage_plugins.package.upgrade import PackageUpgrade

KEY = "exe_1/pkg/host1//run/1"
AGAIN = "exe_1/pkg/host1//run/2"


class Killed(BaseException):
    """What ends an attempt without its having a say."""


@dataclass
class Packages:
    """A host's packages. `offer` is what an upgrade or an installation changes; `breaks` ends it after so many."""

    there: dict[str, str]
    marked: set[str]
    offer: list[PlannedChange]
    half_done: list[str] = field(default_factory=list)
    breaks: tuple[int, BaseException] | None = None
    marking_ends: bool = False
    did: list[str] = field(default_factory=list)

    def as_planned(self) -> list[PlannedChange]:
        return [each for each in self.offer if self.there.get(each.package, "") != each.after]


class Manager:
    """The packages as one attempt calls them; as with apt, what is named counts as asked for."""

    def __init__(self, ctx: StepContext, packages: Packages) -> None:
        self.ctx = ctx
        self._on = packages

    def at_leisure(self) -> "Manager":
        return self

    async def installed(self) -> dict[str, str]:
        return dict(self._on.there)

    async def automatic(self) -> set[str]:
        return set(self._on.marked)

    async def unfinished(self) -> list[str]:
        return self._on.half_done

    async def offered(self, packages: Iterable[str]) -> dict[str, set[str]]:
        return {each: {"1", "2"} for each in packages}

    async def files(self, packages: Iterable[str]) -> list[str]:
        return []

    def plain_name(self, package: str) -> str:
        return package.partition(":")[0]

    async def newer(self, packages: Sequence[str], **how: bool) -> list[PlannedChange]:
        return self._on.as_planned()

    async def wanted(self, requests: Sequence[str], **how: bool) -> list[PlannedChange]:
        return self._on.as_planned()

    async def with_details(self, changes: Sequence[PlannedChange]) -> list[PlannedChange]:
        return list(changes)

    async def refresh(self) -> None:
        self._on.did.append("refresh")

    async def wait_for_others(self) -> None:
        pass

    async def finish(self) -> list[str]:
        done, self._on.half_done = self._on.half_done, []
        self._on.did += ["finish"] if done else []
        return done

    async def make(self, changes: Sequence[PlannedChange | PackageChange], **how: bool) -> None:
        for number, change in enumerate(changes):
            if self._on.breaks and self._on.breaks[0] == number:
                raise self._on.breaks[1]
            self._on.marked.discard(change.package)
            self._on.did.append(f"{change.package} {change.after}".strip())
            if change.after:
                self._on.there[change.package] = change.after
            else:
                self._on.there.pop(change.package)
                self._on.marked.discard(change.package)

    async def mark_automatic(self, packages: Iterable[str]) -> list[str]:
        if self._on.marking_ends:
            raise Killed
        todo = sorted(each for each in set(packages) if each in self._on.there and each not in self._on.marked)
        self._on.marked |= set(todo)
        return todo


OFFER = [
    PlannedChange(package="libold", before="1", after="2"),
    PlannedChange(package="libnew", after="1"),
    PlannedChange(package="app", before="1", after="2"),
]


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Packages:
    """Give a host with an app and a library that came with it, both with newer versions, and one more library."""
    found = Packages({"libold": "1", "app": "1"}, {"libold"}, list(OFFER))

    async def looking(ctx: StepContext, *, fresh: bool = False) -> Manager:
        return Manager(ctx, found)

    for module in (upgrade, install):
        monkeypatch.setattr(module, "working", lambda ctx, *rest: Manager(ctx, found))
        monkeypatch.setattr(module, "looking", looking)
    monkeypatch.setattr(shelf, "folder", lambda: tmp_path / "notes")
    return found


def expecting(*changes: PlannedChange) -> dict[str, Any]:
    return {"expect": [each.model_dump() for each in changes]}


def test_what_was_planned_is_done(harness: Harness, packages: Packages) -> None:
    packages.half_done = ["other"]
    outputs = harness.run(PackageUpgrade(), expecting(*OFFER), key=KEY)
    assert packages.did == ["refresh", "finish", "libold 2", "libnew 1", "app 2"]
    assert [each["package"] for each in outputs["changes"]] == ["app", "libnew", "libold"]


def test_nothing_is_touched_when_something_else_would_be_done(harness: Harness, packages: Packages) -> None:
    packages.half_done = ["other"]
    packages.offer[2] = PlannedChange(package="app", before="1", after="3")
    for call in (harness.preview, harness.run):
        with pytest.raises(TargetFailed, match="app was planned as 1 -> 2, and would be 1 -> 3"):
            call(PackageUpgrade(), expecting(*OFFER))
    assert (packages.did, packages.half_done, packages.there["app"]) == (["refresh"], ["other"], "1")


def test_what_was_planned_and_cut_off_is_done_by_the_next_attempt(harness: Harness, packages: Packages) -> None:
    packages.breaks = (2, StepFailed("a script failed"))
    with pytest.raises(StepFailed, match="a script failed"):
        harness.run(PackageUpgrade(), expecting(*OFFER), key=KEY)
    packages.breaks = None
    outputs = harness.run(PackageUpgrade(), expecting(*OFFER), key=AGAIN)
    assert [each["package"] for each in outputs["changes"]] == ["app", "libnew", "libold"]
    assert packages.marked == {"libold", "libnew"}


def test_dependencies_are_marked_and_stay_so(harness: Harness, packages: Packages) -> None:
    outputs = harness.run(PackageUpgrade(), {}, key=KEY)
    assert packages.marked == {"libold", "libnew"}
    harness.undo(PackageUpgrade(), {}, outputs)
    assert (packages.there, packages.marked) == ({"libold": "1", "app": "1"}, {"libold"})


@pytest.mark.parametrize(
    ("asked", "marked"),
    [(["app"], {"libold", "libnew"}), (["app", "libnew=1"], {"libold"}), (["libnew:amd64"], {"libold"}),
     (["a-virtual-one"], {"libold"})],
)  # fmt: skip
def test_what_was_asked_for_is_no_dependency(
    harness: Harness, packages: Packages, asked: list[str], marked: set[str]
) -> None:
    harness.run(PackageInstall(), {"packages": asked}, key=KEY)
    assert packages.marked == marked


@pytest.mark.parametrize("step_type", [PackageUpgrade(), PackageInstall()])
def test_marks_are_set_after_a_kill_by_recovery_or_by_the_next_attempt(
    harness: Harness, packages: Packages, step_type: Any
) -> None:
    params = {"packages": ["app"]}
    packages.marking_ends = True
    with pytest.raises(Killed):
        harness.run(step_type, params, key=KEY)
    packages.marking_ends = False
    assert (packages.marked, packages.as_planned()) == (set(), [])
    assert harness.recover(step_type, params, KEY) == "marked as dependencies: libnew, libold"
    assert harness.recover(step_type, params, KEY) == ""
    packages.marked.clear()
    harness.run(step_type, params, key=AGAIN)
    assert packages.marked == {"libold", "libnew"}


def test_a_failure_leaves_the_marks_of_what_was_made(harness: Harness, packages: Packages) -> None:
    packages.breaks = (2, StepFailed("a script failed"))
    with pytest.raises(StepFailed):
        harness.run(PackageUpgrade(), {}, key=KEY)
    assert (packages.marked, packages.there["app"]) == ({"libold", "libnew"}, "1")


def test_a_dependency_that_went_comes_back_as_one(harness: Harness, packages: Packages) -> None:
    packages.offer[:] = [
        PlannedChange(package="libold", before="1"),
        PlannedChange(package="app", before="1", after="2"),
    ]
    params = {"packages": ["app=2"], "allow_remove": True}
    outputs = harness.run(PackageInstall(), params, key=KEY)
    assert (outputs["automatic"], packages.there) == (["libold"], {"app": "2"})
    packages.marked.clear()
    for _ in range(2):
        harness.undo(PackageInstall(), params, outputs)
        assert (packages.there, packages.marked) == ({"libold": "1", "app": "1"}, {"libold"})
