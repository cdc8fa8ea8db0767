"""What an attempt owes to its host is not forgotten: not for newer notes, and not because a note cannot be read."""

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest
from pilotage_plugin_api import (
    DeadlineExceeded,
    InfrastructureFailed,
    PluginApiError,
    StepCancelled,
    StepOutputs,
    Stream,
)
from pilotage_plugin_api.invocation import guard
from pilotage_plugin_api.testing import Harness
from pilotage_plugin_api.testing.harness import Recorder
from pilotage_plugins.backup import hooks as hooks_module
from pilotage_plugins.backup import quiesce
from pilotage_plugins.backup.hooks import Hooks, Owing, around, run_owed
from pilotage_plugins.backup.quiesce import Quiesce, at_rest, wake_interrupted
from pilotage_plugins.container import rest
from pilotage_plugins.container.rest import Rest, put_to_rest, resting_of
from pilotage_plugins.note import owed, shelf

KEY = "exe_1/save/host1//run/1"


class Other(StepOutputs):
    number: int = 0


@pytest.fixture(autouse=True)
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(shelf, "folder", lambda: tmp_path / "notes")
    monkeypatch.setattr(shelf, "MOST_NOTES", 3)
    monkeypatch.setattr(rest, "own_mark", lambda: "nobody")
    monkeypatch.setattr(quiesce, "WAKING_PAUSES", ())
    return tmp_path / "notes"


class OneContainer:
    """An engine with one container, db."""

    def __init__(self) -> None:
        self.paused = False

    async def __aenter__(self) -> "OneContainer":
        return self

    async def __aexit__(self, *error: object) -> None:
        pass

    async def inspect(self, name: str) -> dict[str, Any]:
        state = {"Running": True, "Paused": self.paused, "Restarting": False}
        return {"Id": "d" * 64, "Name": "/db", "State": state, "HostConfig": {}}

    find = inspect

    async def pause(self, identity: str) -> None:
        self.paused = True

    async def unpause(self, identity: str) -> None:
        self.paused = False


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> OneContainer:
    engine = OneContainer()
    monkeypatch.setattr(quiesce, "open_engine", lambda ctx, params: engine)
    return engine


async def pause_db(engine: OneContainer) -> None:
    await put_to_rest(cast(Any, engine), KEY, ["db"], Rest.PAUSE, None, lambda note: None)
    assert engine.paused


def spoil(folder: Path) -> Path:
    [path] = folder.glob("*.json")
    path.write_text("{")
    return path


async def test_containers_are_woken_though_many_others_made_notes_meanwhile(
    harness: Harness, engine: OneContainer
) -> None:
    await pause_db(engine)
    for number in range(shelf.MOST_NOTES + 1):
        shelf.keep(f"other/{number}", Other(number=number))
    ctx = harness.context(KEY, harness.scratch_root)
    assert await wake_interrupted(ctx, Quiesce(containers=("db",)), KEY) == "woke db"
    assert not engine.paused
    assert not owed.find("rest", KEY, rest.Resting)


async def test_containers_are_woken_by_what_is_remembered_when_the_note_is_lost(
    harness: Harness, engine: OneContainer, notes: Path
) -> None:
    ctx = harness.context(KEY, harness.scratch_root)
    async with at_rest(ctx, Quiesce(containers=("db",))):
        assert engine.paused
        for path in notes.rglob("*.json"):
            path.unlink()
    assert not engine.paused


async def test_a_note_that_cannot_be_read_is_not_taken_for_none(
    harness: Harness, engine: OneContainer, notes: Path
) -> None:
    await pause_db(engine)
    path = spoil(notes / "owed" / "rest")
    ctx = harness.context(KEY, harness.scratch_root)
    with pytest.raises(InfrastructureFailed, match=str(path)):
        await wake_interrupted(ctx, Quiesce(containers=("db",)), KEY)
    found, problems = await resting_of("exe_1")
    assert not found
    assert str(path) in problems[0]


async def test_hooks_are_owed_though_others_made_notes_and_though_the_note_cannot_be_read(
    harness: Harness, notes: Path, tmp_path: Path
) -> None:
    hooks = Hooks.model_validate({"after": [{"argv": ["touch", str(tmp_path / "awake")]}]})
    ctx = harness.context(KEY, harness.scratch_root)
    interrupted = around(ctx, hooks)
    await interrupted.__aenter__()  # a process that would be killed in the body now
    for number in range(shelf.MOST_NOTES + 1):
        await asyncio.to_thread(shelf.keep, f"other/{number}", Other(number=number))
    [path] = (notes / "owed" / "hooks").glob("*.json")
    whole = path.read_bytes()
    spoil(path.parent)
    with pytest.raises(InfrastructureFailed, match=str(path)):
        await run_owed(ctx, hooks, KEY)
    path.write_bytes(whole)
    assert await run_owed(ctx, hooks, KEY) == "ran 1 `after` hook(s)"
    assert await run_owed(ctx, hooks, KEY) == ""
    await interrupted.__aexit__(None, None, None)
    assert (tmp_path / "awake").exists()


@pytest.mark.parametrize("how", ["cancelled", "deadline"])
async def test_an_after_hook_that_is_too_slow_as_the_attempt_must_end_stays_owed(
    harness: Harness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(hooks_module, "STOPPING_SECONDS", 0.2)
    hooks, cancel = slow_once(tmp_path), asyncio.Event()
    ctx = harness.context(KEY, harness.scratch_root, 0.5 if how == "deadline" else None, cancel)

    async def work() -> None:
        async with around(ctx, hooks):
            if how == "cancelled":
                cancel.set()
            await asyncio.sleep(600)

    with pytest.raises(StepCancelled if how == "cancelled" else DeadlineExceeded) as ended:
        await guard(ctx, "it", work)
    await stays_owed(harness, tmp_path, hooks, ended.value)


@pytest.mark.parametrize("body", ["ends", "fails"])
async def test_an_after_hook_that_is_stopped_in_the_middle_stays_owed_and_the_others_run(
    harness: Harness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str
) -> None:
    hooks, cancel = slow_once(tmp_path), asyncio.Event()
    monkeypatch.setattr(harness, "recorder", CancelsInTheHook(cancel))
    ctx = harness.context(KEY, harness.scratch_root, cancel=cancel)

    async def work() -> None:
        async with around(ctx, hooks):
            if body == "fails":
                raise KeyError("of the body")

    with pytest.raises(StepCancelled) as ended:
        await guard(ctx, "it", work)
    assert (tmp_path / "other").exists()
    await stays_owed(harness, tmp_path, hooks, ended.value)


class CancelsInTheHook(Recorder):
    """Cancels the attempt as soon as the slow hook is begun."""

    def __init__(self, cancel: asyncio.Event) -> None:
        super().__init__()
        self.cancel = cancel

    def log(self, stream: Stream, text: str) -> None:
        super().log(stream, text)
        if text.startswith("hook: sh"):
            self.cancel.set()


def slow_once(folder: Path) -> Hooks:
    """A hook that goes on until it is killed, unless a file is there, and a quick one."""
    slow = ["sh", "-c", 'test -e "$0" || sleep 600', str(folder / "quick now")]
    return Hooks.model_validate({"after": [{"argv": slow}, {"argv": ["touch", str(folder / "other")]}]})


async def stays_owed(harness: Harness, folder: Path, hooks: Hooks, ended: PluginApiError) -> None:
    assert ended.cut_off, "the agent puts its host in order"
    assert owed.find("hooks", KEY, Owing)
    (folder / "quick now").touch()
    recovering = harness.context("exe_1/save/host1//run/2", harness.scratch_root)
    assert await run_owed(recovering, hooks, KEY) == "ran 2 `after` hook(s)"
    assert (folder / "other").exists()
    assert not owed.find("hooks", KEY, Owing)


async def test_an_after_hook_that_is_quick_enough_is_not_owed_when_the_attempt_must_end(harness: Harness) -> None:
    hooks = Hooks.model_validate({"after": [{"argv": ["true"]}]})
    cancel = asyncio.Event()
    ctx = harness.context(KEY, harness.scratch_root, cancel=cancel)

    async def work() -> None:
        async with around(ctx, hooks):
            cancel.set()
            await asyncio.sleep(600)

    with pytest.raises(StepCancelled) as ended:
        await guard(ctx, "it", work)
    assert not ended.value.cut_off
    assert not owed.find("hooks", KEY, Owing)
