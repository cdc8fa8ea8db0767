"""What a new agent finds in the folder of attempts while workers of the old one are still at work."""

import os
from collections.abc import Iterable
from pathlib import Path

import pytest
from pilotage_agent.failpoint import Failpoints
from pilotage_agent.journal_record import entry_to_json, result_to_dict
from pilotage_agent.ledger import Entry, OutcomeFound
from pilotage_agent.messages import Effect, EntryState, Outcome
from pilotage_agent.results import make_result
from pilotage_agent.runner import local
from pilotage_agent.runner.local import LocalRunner, RunnerParts
from pilotage_agent.runner.local_run import Limits
from pilotage_agent.runner.pool import WorkerPool
from pilotage_proto.attempt import AttemptKey

from tests.unit.agent.world import Host, World, assignment, key


def runner(root: Path) -> LocalRunner:
    parts = RunnerParts("h1", lambda: "{}", lambda *_: b"", lambda _: True, lambda _: False, lambda: 1)
    return LocalRunner(root, WorkerPool({}), parts, Limits(), Failpoints())


async def test_the_record_that_a_worker_is_writing_stays(tmp_path: Path) -> None:
    entry = Entry(key=key(), state=EntryState.STARTED, epoch=1, effect=Effect.ONCE, step_type="a.b")
    found = runner(tmp_path)
    folder = found.folder(entry.key)
    handle = folder.begin(entry_to_json(entry))
    whole = folder.path.read_bytes()
    for cut in (0, 1, len(whole) // 2):
        os.ftruncate(handle, cut)
        assert list(found.left_behind([entry.key])) == []
        os.write(handle, whole[cut:])
        assert list(found.left_behind([entry.key])) == [entry]
    result = make_result(entry.key, 1, Outcome.SUCCEEDED, ended_at=2)
    folder.finish(handle, result_to_dict(result))
    folder.close(handle, durable=False)
    ended = await found.reattach(entry)
    assert ended == OutcomeFound(result)


def test_what_a_worker_makes_before_its_record_stays(tmp_path: Path) -> None:
    found = runner(tmp_path)
    found.folder(key(1)).scratch.mkdir()
    found.folder(key(2)).scratch.mkdir()
    assert list(found.left_behind([key(1)])) == []
    assert list(tmp_path.iterdir()) == [found.folder(key(1)).scratch]


async def test_a_record_in_the_making_that_no_journal_knows_is_found_at_the_next_start(tmp_path: Path) -> None:
    """The journal was lost, and the worker had not come to the end of its first line."""
    entry = Entry(key=key(), state=EntryState.STARTED, epoch=1, effect=Effect.ONCE, step_type="a.b")
    found = runner(tmp_path)
    folder = found.folder(entry.key)
    handle = folder.begin(entry_to_json(entry))
    whole = folder.path.read_bytes()
    os.ftruncate(handle, 1)
    folder.scratch.mkdir()
    for _ in range(2):
        assert list(runner(tmp_path).left_behind([])) == []
    assert folder.scratch.is_dir()
    os.write(handle, whole[1:])
    result = make_result(entry.key, 1, Outcome.SUCCEEDED, ended_at=2)
    folder.finish(handle, result_to_dict(result))
    folder.close(handle, durable=False)
    again = runner(tmp_path)
    assert list(again.left_behind([])) == [entry]
    assert await again.reattach(entry) == OutcomeFound(result)
    folder.remove()
    assert list(tmp_path.iterdir()) == []


def test_what_can_be_read_by_nobody_goes_with_the_boot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = runner(tmp_path).folder(key())
    folder.path.write_bytes(b"{")
    monkeypatch.setattr(local, "boot_id", lambda: "the first")
    assert list(runner(tmp_path).left_behind([])) == []
    monkeypatch.setattr(local, "boot_id", lambda: "the second")
    assert list(runner(tmp_path).left_behind([])) == []
    assert list(tmp_path.iterdir()) == []


async def test_the_runner_hears_what_the_journal_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    host = await Host(World()).recover()
    host.attempts.assign(assignment(key()))
    await host.settle()
    heard: list[AttemptKey] = []

    def left_behind(journaled: Iterable[AttemptKey]) -> Iterable[Entry]:
        heard.extend(journaled)
        return ()

    monkeypatch.setattr(host.attempts._runner, "left_behind", left_behind)
    await host.attempts.recover()
    await host.attempts.close()
    assert heard == [key()]
