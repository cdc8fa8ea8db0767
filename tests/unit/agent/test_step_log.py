"""An attempt's files: the log's head and tail, torn outcomes, redaction."""

import itertools
import json
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pilotage_agent.journal_record import entry_to_json
from pilotage_agent.ledger import Entry
from pilotage_agent.messages import Effect, EntryState, Outcome
from pilotage_agent.results import ERROR_LIMIT, bounded, make_result
from pilotage_agent.runner import step_log
from pilotage_agent.runner.attempt_folder import AttemptFolder, folders_in
from pilotage_agent.runner.step_log import (
    EXCERPT,
    GROWTH,
    KEPT,
    LIVE_LIMIT,
    StepLogWriter,
    last_lines,
    log_size,
    read_piece,
)

from tests.unit.agent.world import key

CHUNK = 64 * 1024


def record(number: int, text: str) -> tuple[str, int]:
    """Return a numbered line, and the bytes that it takes in a log."""
    line = f"{number:06d}{text}"
    return line, len(json.dumps({"t": 1, "s": "stdout", "m": line})) + 1


class Follower:
    """Reads a log while it is written, as the link does; checks that offsets fit together."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.offset = self.kept = self.dropped = 0
        self.numbers: list[int] = []
        self.gaps = 0

    def read(self, limit: int = CHUNK, *, ended: bool = False) -> bool:
        """Read one piece; says whether there may be more."""
        piece = read_piece(self.folder / "a.log", self.offset, limit, ended=ended)
        assert piece.offset == self.offset + piece.dropped
        assert ended or not piece.last
        self.numbers += [int(json.loads(line)["m"][:6]) for line in piece.data.splitlines()]
        self.kept += len(piece.data)
        self.dropped += piece.dropped
        self.gaps += piece.dropped > 0
        self.offset = piece.offset + len(piece.data)
        return bool(piece.data) and not piece.last

    def finish(self) -> None:
        """Read what is left of a log that has ended."""
        while self.read(ended=True):
            pass


def writer(folder: Path) -> StepLogWriter:
    return StepLogWriter(folder / "a.log", lambda: 1, lambda text: text)


def read_all(folder: Path, limit: int) -> tuple[bytes, int]:
    """Return what a reader keeps of a log that has ended, and the end of the stream."""
    offset, kept = 0, b""
    for _ in range(100_000):
        piece = read_piece(folder / "a.log", offset, limit, ended=True)
        assert piece.offset == offset + piece.dropped
        kept += piece.data
        offset = piece.offset + len(piece.data)
        if piece.last:
            return kept, offset
    raise AssertionError("no end")


@settings(max_examples=20)
@given(st.integers(0, 30_000), st.integers(200, 300_000))
def test_head_and_tail_are_kept_and_the_rest_is_counted(
    tmp_path_factory: pytest.TempPathFactory, lines: int, limit: int
) -> None:
    folder = tmp_path_factory.mktemp("log")
    log = writer(folder)
    total = 0
    for number in range(lines):
        log.write("stdout", f"{number:06d}" + "x" * 100)
        total += len(json.dumps({"t": 1, "s": "stdout", "m": f"{number:06d}" + "x" * 100})) + 1
    log.close()
    kept, end = read_all(folder, limit)
    assert end == total
    numbers = [int(json.loads(line)["m"][:6]) for line in kept.splitlines()]
    assert numbers == sorted(set(numbers))
    assert log_size(folder / "a.log") == total
    if total <= KEPT // 2:
        assert numbers == list(range(lines))
    else:
        assert numbers[0] == 0
        assert numbers[-1] == lines - 1
    assert len(kept) <= KEPT


def test_a_follower_that_keeps_up_misses_nothing_however_the_writer_turns(tmp_path: Path) -> None:
    lines, behind = 6_000, threading.BoundedSemaphore(200)
    follower, done = Follower(tmp_path), threading.Event()

    def write() -> None:
        log = writer(tmp_path)
        for number in range(lines):
            if not behind.acquire(timeout=5):
                break  # nobody reads any more
            log.write("stdout", record(number, "x" * 900)[0])
        log.close()
        done.set()

    thread = threading.Thread(target=write)
    thread.start()
    more = True
    while more or not done.is_set():
        before = len(follower.numbers)
        more = follower.read()
        for _ in follower.numbers[before:]:
            behind.release()
    thread.join()
    while follower.read():
        pass  # what came between the last look and the end
    assert follower.dropped == 0
    assert follower.numbers == list(range(lines)), "all of it was told before the end"
    assert follower.offset > KEPT, "more than is kept of it"
    follower.finish()
    assert len(follower.numbers) == lines


@settings(max_examples=10)
@given(st.lists(st.tuples(st.integers(1, 300), st.integers(0, 8), st.integers(17_000, CHUNK)), max_size=12))
def test_a_slow_follower_is_told_each_gap_and_gets_head_and_tail(
    tmp_path_factory: pytest.TempPathFactory, turns: list[tuple[int, int, int]]
) -> None:
    folder = tmp_path_factory.mktemp("log")
    log, follower, total, number = writer(folder), Follower(folder), 0, 0
    for lines, reads, limit in turns:
        for _ in range(lines):
            line, size = record(number, "x" * 16_000)
            log.write("stdout", line)
            number, total = number + 1, total + size
        for _ in range(reads):
            follower.read(limit)
    log.close()
    follower.finish()
    assert follower.offset == follower.kept + follower.dropped == total
    assert follower.numbers == sorted(set(follower.numbers))
    if number:
        assert follower.numbers[0] == 0
        assert follower.numbers[-1] == number - 1
    if total <= KEPT:
        assert follower.dropped == 0


def test_a_step_that_writes_for_ever_is_shown_in_excerpts(tmp_path: Path) -> None:
    log, follower, total, number = writer(tmp_path), Follower(tmp_path), 0, 0
    shown: list[int] = []
    while total < 6 * LIVE_LIMIT:
        line, size = record(number, "x" * 16_000)
        log.write("stdout", line)
        number, total = number + 1, total + size
        before = follower.kept
        while follower.read():
            pass
        if follower.kept > before and follower.offset > LIVE_LIMIT + CHUNK:
            shown.append(total)
    excerpts = 16  # 6 is less than (9/8) ** 16
    assert follower.kept <= LIVE_LIMIT + KEPT // 4 + excerpts * (EXCERPT + CHUNK)
    assert follower.gaps <= excerpts
    later = [LIVE_LIMIT, *shown]
    assert all(after <= (before * (GROWTH + 1) // GROWTH) + KEPT for before, after in itertools.pairwise(later))
    log.close()
    follower.finish()
    assert follower.numbers[-1] == number - 1


def test_a_segment_that_vanishes_while_it_is_read_is_a_gap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = writer(tmp_path)
    line, size = record(0, "x" * 16_000)
    segment = KEPT // 4 // size
    for _ in range(KEPT // 2 // size + 2 * segment):
        log.write("stdout", line)
    seen = step_log._segments(tmp_path / "a.log")
    assert len(seen) == 3
    seen[1].path.unlink()
    monkeypatch.setattr(step_log, "_segments", lambda folder: seen)
    piece = read_piece(tmp_path / "a.log", seen[1].start, CHUNK, ended=False)
    assert (piece.offset, piece.dropped) == (seen[2].start, seen[1].size)
    assert piece.data


def test_after_the_last_gap_a_line_that_was_left_half_moves_nothing(tmp_path: Path) -> None:
    log = writer(tmp_path)
    log.write("step", "whole")
    log.close()
    end = log_size(tmp_path / "a.log")
    (tmp_path / "a.log" / f"log.{end + 100}").write_bytes(b'{"t": 1, "s"')
    piece = read_piece(tmp_path / "a.log", end, CHUNK, ended=True)
    assert (piece.offset, piece.data, piece.dropped, piece.last) == (end, b"", 0, True)


def test_as_much_is_kept_as_was_asked_for(tmp_path: Path) -> None:
    log = StepLogWriter(tmp_path / "a.log", lambda: 1, lambda text: text, 4 * KEPT)
    line, size = record(0, "x" * 16_000)
    lines = (4 * KEPT - CHUNK) // size
    for _ in range(lines):
        log.write("stdout", line)
    follower = Follower(tmp_path)
    follower.finish()
    assert (len(follower.numbers), follower.dropped) == (lines, 0)
    for _ in range(lines):
        log.write("stdout", line)
    again = Follower(tmp_path)
    again.finish()
    assert again.dropped > 0
    assert again.kept <= 4 * KEPT


def test_nothing_written_leaves_nothing(tmp_path: Path) -> None:
    writer(tmp_path).close()
    assert list(tmp_path.iterdir()) == []
    assert log_size(tmp_path / "a.log") == 0
    assert read_piece(tmp_path / "a.log", 0, 100, ended=True).last


def test_a_line_that_a_killed_writer_left_half_is_not_told(tmp_path: Path) -> None:
    log = writer(tmp_path)
    log.write("step", "whole")
    log.close()
    with (tmp_path / "a.log" / "log.0").open("ab") as file:
        file.write(b'{"t": 1, "s"')
    kept, _ = read_all(tmp_path, 1000)
    assert kept.count(b"\n") == 1
    assert last_lines(tmp_path / "a.log", 5) == ["whole"]


def end(folder: AttemptFolder, handle: int) -> None:
    folder.finish(handle, {})
    folder.close(handle, durable=False)


def test_a_torn_outcome_counts_as_none_wherever_it_is_cut(tmp_path: Path) -> None:
    folder = AttemptFolder(tmp_path / "x")
    handle = folder.begin("{}")
    folder.finish(handle, {"outcome": "succeeded", "outputs": "{}"})
    folder.close(handle, durable=True)
    whole = folder.path.read_bytes()
    assert folder.read_outcome() == {"outcome": "succeeded", "outputs": "{}"}
    for cut in range(len(whole)):
        folder.path.write_bytes(whole[:cut])
        assert folder.read_outcome() is None
    folder.path.write_bytes(whole.replace(b"succeeded", b"succeedeD"))
    assert folder.read_outcome() is None


def test_a_record_begins_once_and_tells_whose_it_is(tmp_path: Path) -> None:
    folder = AttemptFolder(tmp_path / "x")
    entry = Entry(key=key(), state=EntryState.STARTED, epoch=1, effect=Effect.ONCE, step_type="a.b")
    assert not folder.has_begun()
    end(folder, folder.begin(entry_to_json(entry)))
    assert folder.has_begun()
    assert folder.entry() == entry
    with pytest.raises(FileExistsError):
        folder.begin("{}")


def test_what_belongs_to_no_record_is_swept(tmp_path: Path) -> None:
    (tmp_path / "aa.scratch").mkdir()
    folder = AttemptFolder(tmp_path / "bb")
    end(folder, folder.begin("{}"))
    folder.scratch.mkdir()
    assert [one.path.name for one in folders_in(tmp_path)] == ["bb"]
    folder.remove()
    assert list(tmp_path.iterdir()) == []


def test_results_are_bounded_and_canonical() -> None:
    assert len(bounded("x" * 100_000)) <= ERROR_LIMIT
    result = make_result(key(), 1, Outcome.SUCCEEDED, outputs={"big": 2**60})
    assert result.outcome is Outcome.FAILED
    assert "2^53" in result.error
    assert make_result(key(), 1, Outcome.FAILED, error="\ud800").error == "?"
