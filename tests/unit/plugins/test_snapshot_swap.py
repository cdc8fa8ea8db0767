"""What a restore put aside comes back, or the undo says that it cannot: it never says so of what stays."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pilotage_plugin_api import Refused, StepContext, TargetFailed
from pilotage_plugin_api.testing import Harness
from pilotage_plugins.snapshot import swap
from pilotage_plugins.snapshot.backend import Method, Restored, Wish
from pilotage_plugins.snapshot.choice import place_of
from pilotage_plugins.snapshot.copy import CopiedTrees
from pilotage_plugins.snapshot.kept import KeptTrees
from pilotage_plugins.snapshot.store import State, Store


class Killed(BaseException):
    """What ends the work at one point, as a kill does."""


class MortalTrees(CopiedTrees):
    """Copies, the deletion of which does not come to its end."""

    async def delete(self, ctx: StepContext, tree: Path) -> None:
        raise Killed


Attempt = Callable[[str], StepContext]


@pytest.fixture
def attempt(harness: Harness) -> Attempt:
    return lambda name: harness.context(f"exe_1/{name}/host1//run/1", harness.scratch_root)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "srv" / "data"
    path.mkdir(parents=True)
    (path / "text").write_text("old\n")
    return path


async def restored_over(path: Path, attempt: Attempt) -> Restored:
    """A restore of the old text over a new one, which is put aside."""
    trees = KeptTrees(CopiedTrees())
    kept = await trees.create(attempt("keep"), await place_of(str(path)), Wish())
    (path / "text").write_text("new\n")
    return await trees.restore(attempt("back"), await place_of(str(path)), kept, keep_current=True)


async def test_an_undo_is_refused_when_a_removal_of_what_was_kept_was_cut_off(path: Path, attempt: Attempt) -> None:
    restored = await restored_over(path, attempt)
    place = await place_of(str(path))
    [kept] = [one for one in await KeptTrees(CopiedTrees()).snapshots(attempt("x"), place) if one.id == restored.kept]
    with pytest.raises(Killed):
        await KeptTrees(MortalTrees()).remove(attempt("remove"), place, kept)
    for _ in range(2):
        with pytest.raises(TargetFailed, match=r"snapshot\.remove.*cannot come back"):
            await KeptTrees(CopiedTrees()).put_back(attempt("undo"), place, restored)
    assert (path / "text").read_text() == "old\n"


async def test_an_undo_that_was_cut_off_after_its_exchange_is_finished(path: Path, attempt: Attempt) -> None:
    restored = await restored_over(path, attempt)
    with pytest.raises(Killed):
        await KeptTrees(MortalTrees()).put_back(attempt("undo"), await place_of(str(path)), restored)
    noted = Store.beside(path).find(str(restored.kept))
    assert noted is not None
    assert noted.state is State.REMOVING
    for _ in range(2):
        await KeptTrees(CopiedTrees()).put_back(attempt("undo"), await place_of(str(path)), restored)
    assert (path / "text").read_text() == "new\n"


async def test_more_restores_beside_each_other_than_notes_stay_are_all_undone(
    path: Path, attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(swap, "MOST_SPENT", 2)
    trees, made = KeptTrees(CopiedTrees()), []
    for name in "abcd":
        other = path.parent / name
        other.mkdir()
        kept = await trees.create(attempt(f"keep {name}"), await place_of(str(other)), Wish())
        other.rmdir()
        place = await place_of(str(other))
        restored = await trees.restore(attempt(f"back {name}"), place, kept, keep_current=True)
        assert not restored.was_there
        await trees.remove(attempt("remove"), place, kept)
        made.append(restored)
    for restored in made:
        with pytest.raises(Killed):
            await KeptTrees(MortalTrees()).put_back(attempt("undo"), await place_of(restored.path), restored)
        for _ in range(2):
            await trees.put_back(attempt("undo"), await place_of(restored.path), restored)
    assert [entry.name for entry in path.parent.iterdir()] == [path.name], "nothing is left beside it"


async def test_an_undo_makes_no_entry_of_a_name_that_is_no_id(path: Path, attempt: Attempt) -> None:
    restored = Restored(
        snapshot="x",
        method=Method.COPY,
        path=str(path),
        kept="../elsewhere",
        was_there=False,
        identity=await CopiedTrees().identity(attempt("x"), path),
    )
    with pytest.raises(Refused, match="no id"):
        await KeptTrees(CopiedTrees()).put_back(attempt("undo"), await place_of(str(path)), restored)
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
