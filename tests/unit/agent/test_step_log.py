"""An attempt's files: the log's head and tail, torn outcomes, redaction."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pilotage_agent.journal_record import entry_to_json
from pilotage_agent.ledger import Entry
from pilotage_agent.messages import Effect, EntryState, Outcome
from pilotage_agent.results import ERROR_LIMIT, bounded, make_result
from pilotage_agent.runner.attempt_folder import AttemptFolder, folders_in
from pilotage_agent.runner.step_log import HEAD_LIMIT, SEGMENT_LIMIT, StepLogWriter, last_lines, log_size, read_piece

from tests.unit.agent.world import key


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


@settings(max_examples=20, deadline=None)
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
    if total <= HEAD_LIMIT:
        assert numbers == list(range(lines))
    else:
        assert numbers[0] == 0
        assert numbers[-1] == lines - 1
    assert len(kept) <= HEAD_LIMIT + 2 * SEGMENT_LIMIT


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
