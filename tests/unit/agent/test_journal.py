"""The journal: group commit, what a crash keeps, and damaged, newer or full files."""

import asyncio
import contextlib
import json
import shutil
import sqlite3
import tempfile
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pilotage_agent.approval.use import Name, Use
from pilotage_agent.errors import ConfigRefused, JournalUnwritable
from pilotage_agent.journal import Journal
from pilotage_agent.journal_record import entry_from_json, entry_to_json
from pilotage_agent.journal_sqlite import SqliteJournalStore, ThreadedCommits, checksum, open_or_replace
from pilotage_agent.journal_store import JournalContent, JournalHead, MemoryJournalStore, Transaction
from pilotage_agent.ledger import Entry, Fences, Take, WorkerIdentity, judge_assignment
from pilotage_agent.messages import AuditHead, Effect, EntryState, Outcome
from pilotage_agent.results import make_result
from pilotage_agent.settled import Settled, SettledRuns, execution_time
from pilotage_agent.witness import Witness
from pilotage_proto.attempt import AttemptKey, AttemptKind

from tests.unit.agent.world import assignment, key


def entry(number: int = 1, state: EntryState = EntryState.STARTED) -> Entry:
    of = key(number)
    result = make_result(of, 1, Outcome.SUCCEEDED, outputs={"ä": [1, 2.5]}, started_at=5, ended_at=6)
    return Entry(
        key=of,
        state=state,
        epoch=1,
        effect=Effect.PROBE,
        step_type="test.step",
        started_at=5,
        worker=WorkerIdentity("boot", 42, 1),
        assignment=assignment(of, Effect.PROBE, secrets={"s": b"\0sealed"}) if state is EntryState.STARTED else None,
        result=result if state is EntryState.EXITED else None,
    )


class CountingCommits:
    """Commits that wait until they are let through."""

    def __init__(self, store: MemoryJournalStore) -> None:
        self.store = store
        self.count = 0
        self.gate = asyncio.Event()

    async def commit(self, transaction: Transaction) -> None:
        self.count += 1
        await self.gate.wait()
        self.store.commit(transaction)

    async def close(self) -> None:
        pass


async def test_one_transaction_serves_all_who_wait() -> None:
    store = MemoryJournalStore(JournalContent(JournalHead("jrn_1")))
    commits = CountingCommits(store)
    journal = Journal(store.load(), commits)
    waiting = [asyncio.create_task(journal.append(entry(number))) for number in range(50)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    commits.gate.set()
    await asyncio.gather(*waiting)
    assert commits.count <= 2
    assert len(store.load().entries) == 50
    assert journal.sequence == 50


async def test_a_note_rides_with_the_next_transaction_and_is_told_apart_until_then() -> None:
    store = MemoryJournalStore(JournalContent(JournalHead("jrn_1")))
    commits = CountingCommits(store)
    commits.gate.set()
    journal = Journal(store.load(), commits)
    journal.note(entry(1))
    assert not journal.is_durable(key(1))
    await journal.append(entry(2))
    assert commits.count == 1
    assert journal.is_durable(key(1))
    await journal.close()


async def test_a_sequence_is_told_only_once_it_is_durable() -> None:
    """A smaller one after a crash would pass for a copied journal, and the host would be quarantined."""
    store = MemoryJournalStore(JournalContent(JournalHead("jrn_1")))
    commits = CountingCommits(store)
    journal = Journal(store.load(), commits)
    journal.note(entry(1))
    assert journal.sequence == 0
    waiting = asyncio.create_task(journal.next_session())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    journal.note(entry(2))
    assert journal.sequence == 0
    commits.gate.set()
    await waiting
    assert journal.sequence == 1
    await journal.close()


async def test_what_was_appended_is_read_back_by_the_next_process(tmp_path: Path) -> None:
    journal = await _open(tmp_path)
    await journal.append(entry(1))
    await journal.append(entry(2, EntryState.EXITED))
    journal.see_epoch(9)
    assert await journal.next_session() == 1
    await journal.consume_approval("apr_1")
    await journal.close()
    again = await _open(tmp_path)
    assert [one.key for one in again.entries()] == [key(1), key(2)]
    assert again.find(key(1)) == entry(1)
    assert again.find(key(2)) == entry(2, EntryState.EXITED)
    assert (again.highest_epoch, again.sequence, again.journal_id) == (9, 2, journal.journal_id)
    assert again.approval_consumed("apr_1")
    assert await again.next_session() == 2
    await again.close()


async def test_a_copy_taken_at_any_moment_holds_all_that_was_acknowledged(tmp_path: Path) -> None:
    """Copying the files of a live journal is what a power cut leaves: nothing that `append` returned for is missing."""
    (tmp_path / "live").mkdir()
    journal = await _open(tmp_path / "live")
    for number in range(1, 30):
        await journal.append(entry(number))
        copy = tmp_path / f"copy{number}"
        shutil.copytree(tmp_path / "live", copy)
        _, content = open_or_replace(copy / "journal.db", "jrn_new", 1)
        assert {one.key for one in content.entries} == {key(one) for one in range(1, number + 1)}
        assert content.head.journal_id == journal.journal_id
    await journal.close()


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
async def test_a_cut_or_scribbled_file_is_set_aside_under_a_new_id(tmp_path: Path, share: float) -> None:
    journal = await _open(tmp_path)
    for number in range(200):
        await journal.append(entry(number + 1))
    await journal.close()
    path = tmp_path / "journal.db"
    data = bytearray(path.read_bytes())
    place = int(len(data) * share)
    data[place : place + 4096] = b"\xa5" * 4096
    path.write_bytes(data[: int(len(data) * max(share, 0.3)) + 8192])
    store, content = open_or_replace(path, "jrn_new", 7)
    assert content.head.journal_id == "jrn_new"
    assert content.entries == ()
    assert (tmp_path / "journal.db.damaged-7").exists()
    store.close()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed journal with something of everything."""
    path = tmp_path_factory.mktemp("whole") / "journal.db"
    store, content = open_or_replace(path, "jrn_1", 1)
    ended = tuple(entry(number, EntryState.EXITED) for number in range(1, 8))
    settled = Settled(b"r" * 16, 3, Outcome.FAILED, True, 77)
    head = replace(content.head, sequence=8, highest_epoch=3, session_counter=2)
    store.commit(Transaction(head, (*ended, entry(9)), (), (settled,), (), ("apr_1",)))
    store.close()
    return path


@settings(max_examples=60)
@example(share=0.1953125, bit=7)
@given(share=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_is_found_or_changes_nothing(whole: Path, share: float, bit: int) -> None:
    data = bytearray(whole.read_bytes())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "journal.db")
        path.write_bytes(data)
        store, expected = open_or_replace(path, "jrn_new", 7)
        store.close()
        data[int(len(data) * share)] ^= 1 << bit
        path.write_bytes(data)
        try:
            store, content = open_or_replace(path, "jrn_new", 7)
        except ConfigRefused:
            return  # the bit was in the number of the format
        store.close()
        assert content == expected or (content.head.journal_id, content.entries) == ("jrn_new", ())


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE entries SET body = replace(body, '\"attempt\"', '\"attempt\"') || ' '",
        "UPDATE entries SET key = key || 'x'",
        "UPDATE head SET highest_epoch = 1",
        "UPDATE settled SET attempt = 2",
        "UPDATE consumed_approvals SET approval = 'apr_2'",
        "DELETE FROM head",
    ],
)
def test_a_row_that_is_not_as_it_was_written_condemns_the_journal(whole: Path, tmp_path: Path, change: str) -> None:
    path = tmp_path / "journal.db"
    path.write_bytes(whole.read_bytes())
    with sqlite3.connect(path) as connection:
        connection.execute(change)
    connection.close()
    store, content = open_or_replace(path, "jrn_new", 7)
    store.close()
    assert content.head.journal_id == "jrn_new"
    assert (tmp_path / "journal.db.damaged-7").exists()


def test_a_journal_of_the_first_format_is_taken_over(whole: Path, tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    path.write_bytes(whole.read_bytes())
    with sqlite3.connect(path) as connection:
        for table in ("head", "entries", "settled", "consumed_approvals"):
            connection.execute(f"ALTER TABLE {table} DROP COLUMN crc")
        connection.execute("ALTER TABLE head DROP COLUMN witness")
        _forget_uses(connection)
        connection.execute("PRAGMA user_version = 1")
    connection.close()
    for _ in range(2):
        store, content = open_or_replace(path, "jrn_new", 7)
        assert (content.head.journal_id, len(content.entries), len(content.settled)) == ("jrn_1", 8, 1)
        store.close()


def test_a_journal_of_the_second_format_is_taken_over_and_keeps_what_is_seen_from_then_on(
    whole: Path, tmp_path: Path
) -> None:
    path = tmp_path / "journal.db"
    path.write_bytes(whole.read_bytes())
    with sqlite3.connect(path) as connection:
        (*values, _, _, _) = connection.execute("SELECT * FROM head").fetchone()
        connection.execute("ALTER TABLE head DROP COLUMN witness")
        _forget_uses(connection)
        connection.execute("UPDATE head SET crc = ?", (checksum(*values[1:]),))
        connection.execute("PRAGMA user_version = 2")
    connection.close()
    witness = Witness("hst_1", AuditHead("coo_1", 9, "sha256:9", b"k", b"s"))
    store, content = open_or_replace(path, "jrn_new", 7)
    assert (content.head.journal_id, len(content.entries), content.head.witness) == ("jrn_1", 8, None)
    store.commit(Transaction(replace(content.head, witness=witness)))
    store.close()
    store, content = open_or_replace(path, "jrn_new", 7)
    assert (content.head.journal_id, content.head.witness) == ("jrn_1", witness)
    store.close()


NAME = Name("exe_1", "wipe", "", AttemptKind.RUN, ("apr_1",))
USE = Use(NAME, ("apr_1",), 5, "sha256:1", {1: "succeeded"}, "sha256:2")


def test_a_journal_of_the_third_format_is_taken_over_and_keeps_what_approvals_were_used_for(
    whole: Path, tmp_path: Path
) -> None:
    path = tmp_path / "journal.db"
    path.write_bytes(whole.read_bytes())
    with sqlite3.connect(path) as connection:
        (*values, _, _) = connection.execute("SELECT * FROM head").fetchone()
        _forget_uses(connection)
        connection.execute("UPDATE head SET crc = ?", (checksum(*values[1:]),))
        connection.execute("PRAGMA user_version = 3")
    connection.close()
    store, content = open_or_replace(path, "jrn_new", 7)
    assert (content.head.journal_id, content.uses, content.head.approvals_floor) == ("jrn_1", (), 0)
    gone = replace(USE, name=USE.name._replace(path="gone"))
    store.commit(Transaction(replace(content.head, approvals_floor=4), uses=(USE, gone)))
    store.commit(Transaction(replace(content.head, approvals_floor=4), forgotten_uses=(gone.name,)))
    store.close()
    store, content = open_or_replace(path, "jrn_new", 7)
    assert (content.head.journal_id, content.uses, content.head.approvals_floor) == ("jrn_1", (USE,), 4)
    store.close()


def test_a_new_journal_believes_no_approval_from_before_it(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    for content, floor in ((b"", 7), (b"no journal at all, but something", 9)):
        if content:
            path.write_bytes(content)
        store, found = open_or_replace(path, f"jrn_{floor}", floor)
        assert (found.head.journal_id, found.head.approvals_floor) == (f"jrn_{floor}", floor)
        store.close()
    store, found = open_or_replace(path, "jrn_11", 11)
    assert (found.head.journal_id, found.head.approvals_floor) == ("jrn_9", 9)
    store.close()


def _forget_uses(connection: sqlite3.Connection) -> None:
    connection.execute("ALTER TABLE head DROP COLUMN approvals_floor")
    connection.execute("DROP TABLE uses")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=300)
@given(
    base=st.sampled_from(["started", "exited"]), name=st.sampled_from(sorted(json.loads(entry_to_json(entry(1))))),
    value=JSON, cut=st.integers(0, 60),
)  # fmt: skip
def test_the_reader_of_records_raises_only_what_it_declares(base: str, name: str, value: Any, cut: int) -> None:
    data = json.loads(entry_to_json(entry(1, EntryState(base))))
    for text in (json.dumps({**data, name: value}), json.dumps(data)[: -cut or None], json.dumps(value)):
        with contextlib.suppress(ValueError):
            assert isinstance(entry_from_json(text), Entry)


def test_a_journal_of_a_newer_agent_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(ConfigRefused, match="newer agent"):
        open_or_replace(path, "jrn_new", 1)
    assert list(tmp_path.glob("*damaged*")) == []


async def test_a_full_disk_is_told_and_heals(tmp_path: Path) -> None:
    thread = ThreadPoolExecutor(max_workers=1)
    store, content = open_or_replace(tmp_path / "journal.db", "jrn_1", 1)
    journal = Journal(content, ThreadedCommits(store, thread))
    pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
    store._connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(JournalUnwritable, match="full"):
        await _append_many(journal, 200)
    store._connection.execute("PRAGMA max_page_count = 100000")
    await journal.append(entry(500))
    await journal.close()
    again = await _open(tmp_path)
    assert again.find(key(500)) is not None
    assert again.find(key(1)) is not None
    await again.close()


async def test_what_was_forgotten_is_remembered_as_settled(tmp_path: Path) -> None:
    journal = await _open(tmp_path)
    await journal.append(entry(1, EntryState.EXITED))
    journal.forget(key(1))
    await journal.close()
    again = await _open(tmp_path)
    assert len(again) == 0
    settled = again.fences(key(1)).settled.find(key(1))
    assert settled is not None
    assert (settled.attempt, settled.outcome, settled.began) == (1, Outcome.SUCCEEDED, True)
    await again.close()


def test_the_memory_of_settled_runs_is_bounded_and_never_forgets_unsafely() -> None:
    runs = SettledRuns(capacity=100)
    keys = [_dated(number) for number in range(400)]
    for of in keys:
        runs.remember(of, Outcome.SUCCEEDED, began=True)
        runs.prune()
    assert len(runs) <= 100
    assert all(runs.find(of) is not None or runs.too_old(of) for of in keys)
    assert runs.find(keys[-1]) is not None
    assert not runs.too_old(_dated(401))


def test_ids_without_a_time_are_never_dropped() -> None:
    runs = SettledRuns(capacity=2)
    for number in range(5):
        runs.remember(key(number, execution=f"exe_{number}"), Outcome.FAILED, began=True)
    assert runs.prune() == ()
    assert len(runs) == 5


@given(st.integers(0, 2**48 - 1))
def test_the_time_in_an_execution_id(milliseconds: int) -> None:
    assert execution_time(_execution(milliseconds)) == milliseconds


@settings(max_examples=50)
@given(st.text(max_size=30), st.text(max_size=30), st.integers(1, 2**31), st.sampled_from(list(Effect)))
def test_entries_read_back_as_they_were(path: str, item: str, attempt: int, effect: Effect) -> None:
    of = AttemptKey("exe_1", path, "h", item, AttemptKind.UNDO, attempt)
    before = Entry(key=of, state=EntryState.ACCEPTED, epoch=3, effect=effect, step_type="a.b", timeout_ms=5)
    assert entry_from_json(entry_to_json(before)) == before


def _execution(milliseconds: int) -> str:
    number = (milliseconds << 80) | (0x7 << 76) | (0x2 << 62) | 1
    return f"exe_{uuid.UUID(int=number).hex}"


def _dated(number: int) -> AttemptKey:
    return AttemptKey(_execution(1_700_000_000_000 + number), "step", "h1", "", AttemptKind.RUN, 1)


async def _append_many(journal: Journal, count: int) -> None:
    for number in range(count):
        await journal.append(entry(number + 1))


async def _open(folder: Path) -> Journal:
    store, content = open_or_replace(folder / "journal.db", f"jrn_{uuid.uuid4().hex}", 1)
    assert isinstance(store, SqliteJournalStore)
    return Journal(content, ThreadedCommits(store, ThreadPoolExecutor(max_workers=1)))


@pytest.mark.parametrize("effect", list(Effect))
def test_what_was_only_accepted_before_a_restart_is_taken_when_it_is_sent_again(effect: Effect) -> None:
    """Otherwise it would neither start nor ever be answered: only what began is driven on by a restart."""
    of = key(1)
    message = assignment(of, effect)
    accepted = replace(entry(1, EntryState.ACCEPTED), effect=effect, worker=None, assignment=message)
    found = entry_from_json(entry_to_json(accepted))
    assert isinstance(judge_assignment(found, Fences(0, SettledRuns()), message, 7), Take)
