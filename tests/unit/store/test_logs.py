import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pilotage_coordinator.domain.fleet import LogPiece
from pilotage_coordinator.store.errors import Refused, StoreUnavailable
from pilotage_coordinator.store.log_file import MOST_GAPS, LogFile
from pilotage_coordinator.store.logs import LogFolder, inline
from pilotage_coordinator.store.protocol import LogStore
from pilotage_proto.attempt import AttemptKey, AttemptKind

KEY = AttemptKey("exe_01", "group/backup", "db1", "", AttemptKind.RUN, 1)
LINE = b'{"text":"line"}\n'


@pytest.fixture
async def logs(tmp_path: Path) -> AsyncIterator[LogStore]:
    logs: LogStore = LogFolder(tmp_path / "logs", most_bytes=1000)
    yield logs
    await logs.close()


def piece(offset: int, data: bytes = LINE, dropped: int = 0, last: bool = False) -> LogPiece:
    return LogPiece(KEY, offset, data, dropped, last)


async def test_pieces_in_order_are_kept_and_acknowledged(logs: LogStore) -> None:
    assert await logs.append(piece(0)) == len(LINE)
    assert await logs.append(piece(len(LINE), last=True)) == 2 * len(LINE)
    found = await logs.read(KEY)
    assert (found.data, found.offset, found.dropped, found.complete) == (LINE * 2, 0, 0, True)


async def test_a_log_that_is_not_there_is_empty(logs: LogStore) -> None:
    found = await logs.read(KEY)
    assert (found.data, found.end, found.complete) == (b"", 0, False)


async def test_what_is_kept_already_is_skipped(logs: LogStore) -> None:
    await logs.append(piece(0, LINE * 3))
    assert await logs.append(piece(0, LINE * 2)) == 3 * len(LINE)
    assert await logs.append(piece(2 * len(LINE), LINE + b"new\n")) == 3 * len(LINE) + 4
    assert (await logs.read(KEY)).data == LINE * 3 + b"new\n"


async def test_a_piece_beyond_the_end_is_not_kept_and_the_answer_says_where_to_go_on(logs: LogStore) -> None:
    await logs.append(piece(0))
    assert await logs.append(piece(500)) == len(LINE)
    assert (await logs.read(KEY)).data == LINE


async def test_dropped_bytes_are_a_gap_that_reading_names(logs: LogStore) -> None:
    await logs.append(piece(0))
    assert await logs.append(piece(500, dropped=500 - len(LINE))) == 500 + len(LINE)
    first = await logs.read(KEY)
    assert (first.data, first.next, first.end) == (LINE, len(LINE), 500 + len(LINE))
    second = await logs.read(KEY, first.next)
    assert (second.data, second.offset, second.dropped) == (LINE, 500, 500 - len(LINE))
    assert (await logs.read(KEY, 300)).dropped == 200
    assert (await logs.read(KEY, -4)).data == LINE[-4:]


async def test_past_its_bound_a_log_counts_and_keeps_nothing(logs: LogStore, tmp_path: Path) -> None:
    end = 0
    for _ in range(100):
        end = await logs.append(piece(end))
    assert end == 100 * len(LINE)
    assert sum(file.stat().st_size for file in tmp_path.rglob("*.ndjson")) <= 1000
    last = await logs.read(KEY, 1000)
    assert (last.data, last.next, last.dropped) == (b"", end, end - 1000)


async def test_reading_stops_at_whole_lines(logs: LogStore) -> None:
    await logs.append(piece(0, LINE * 5))
    found = await logs.read(KEY, limit=2 * len(LINE) + 3)
    assert (found.data, found.next) == (LINE * 2, 2 * len(LINE))
    assert (await logs.read(KEY, limit=3)).data == LINE[:3]


async def test_logs_go_with_their_execution(logs: LogStore, tmp_path: Path) -> None:
    await logs.append(piece(0))
    await logs.remove("exe_01")
    await logs.remove("exe_01")
    assert list(tmp_path.rglob("*.ndjson")) == []
    assert await logs.append(piece(0)) == len(LINE)


@pytest.mark.parametrize("execution", ["", "../exe_1", "exe/1", "exe_1\n", "x" * 81])
async def test_an_execution_cannot_name_another_folder(logs: LogStore, execution: str) -> None:
    with pytest.raises(Refused):
        await logs.remove(execution)


async def test_odd_names_are_one_file_each(logs: LogStore, tmp_path: Path) -> None:
    names = ["a/b", "a-b", "a.b", "ä", "x" * 500, "../../etc"]
    for name in names:
        await logs.append(LogPiece(AttemptKey("exe_01", name, "h", "", AttemptKind.RUN, 1), 0, name.encode() + b"\n"))
    for name in names:
        found = await logs.read(AttemptKey("exe_01", name, "h", "", AttemptKind.RUN, 1))
        assert found.data == name.encode() + b"\n"
    assert {file.parent.parent for file in tmp_path.rglob("*.ndjson")} == {tmp_path / "logs" / "01" / "exe_01"}
    assert len({file.parent for file in tmp_path.rglob("*.ndjson")}) == 1


def _modes(folder: Path) -> set[tuple[bool, int]]:
    return {(each.is_dir(), each.stat().st_mode & 0o777) for each in (folder, *folder.rglob("*"))}


async def test_files_and_folders_are_for_the_owner_alone(logs: LogStore, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        await logs.append(piece(0))
        await logs.append(piece(500, dropped=500 - len(LINE)))
        assert len(list(tmp_path.rglob("*.gaps"))) == 1
        assert _modes(tmp_path / "logs") == {(True, 0o700), (False, 0o600)}
    finally:
        os.umask(before)


async def test_what_others_could_read_is_taken_from_them_at_the_start(logs: LogStore, tmp_path: Path) -> None:
    await logs.secure()
    await logs.append(piece(0))
    outside = tmp_path / "outside"
    outside.write_bytes(b"")
    outside.chmod(0o644)
    (tmp_path / "logs" / "link").symlink_to(outside)
    for each in (tmp_path / "logs").rglob("*"):
        if not each.is_symlink():
            each.chmod(0o755 if each.is_dir() else 0o644)
    (tmp_path / "logs").chmod(0o755)
    await logs.secure()
    (tmp_path / "logs" / "link").unlink()
    assert _modes(tmp_path / "logs") == {(True, 0o700), (False, 0o600)}
    assert outside.stat().st_mode & 0o777 == 0o644


async def test_one_host_cannot_take_the_disk_with_many_logs(tmp_path: Path) -> None:
    async def fill(logs: LogFolder) -> dict[str, int]:
        for host, attempt in [*(("loud", number) for number in range(1, 9)), ("quiet", 1)]:
            key = AttemptKey("exe_01", "a", host, "", AttemptKind.RUN, attempt)
            assert await logs.append(LogPiece(key, 0, LINE * 10)) == 10 * len(LINE)
        found = {"loud": 0, "quiet": 0}
        for file in tmp_path.rglob("*.ndjson"):
            found[file.parent.name.partition("-")[0]] += file.stat().st_size
        return found

    bounds = {"most_bytes": 1000, "most_of_host": 35 * len(LINE)}
    logs = LogFolder(tmp_path, hop=inline, **bounds)
    assert await fill(logs) == {"loud": 30 * len(LINE), "quiet": 10 * len(LINE)}
    again = LogFolder(tmp_path, hop=inline, **bounds)
    late = AttemptKey("exe_01", "b", "loud", "", AttemptKind.RUN, 1)
    assert await again.append(LogPiece(late, 0, LINE * 9)) == 9 * len(LINE)
    assert (await again.read(late)).dropped == 9 * len(LINE)
    await again.remove("exe_01")
    assert await again.append(LogPiece(late, 0, LINE * 9)) == 9 * len(LINE)
    assert (await again.read(late)).data == LINE * 9


async def test_many_pieces_at_once_share_hops(tmp_path: Path) -> None:
    hops = 0

    async def count(call: object) -> object:
        nonlocal hops
        hops += 1
        return await asyncio.to_thread(call)  # type: ignore[arg-type]

    logs = LogFolder(tmp_path, hop=count)  # type: ignore[arg-type]
    keys = [AttemptKey("exe_01", "backup", f"db{number}", "", AttemptKind.RUN, 1) for number in range(200)]
    await asyncio.gather(*(logs.append(LogPiece(key, 0, LINE)) for key in keys))
    await logs.close()
    assert hops == 1


async def test_a_disk_that_refuses_is_said_and_works_again_later(tmp_path: Path) -> None:
    logs = LogFolder(tmp_path / "logs", hop=inline)
    await logs.append(piece(0))
    (file,) = tmp_path.rglob("*.ndjson")
    file.rename(file.with_suffix(".away"))
    file.mkdir()
    with pytest.raises(StoreUnavailable, match="refused"):
        await logs.append(piece(len(LINE)))
    file.rmdir()
    file.with_suffix(".away").rename(file)
    assert await logs.append(piece(len(LINE))) == 2 * len(LINE)
    await logs.close()


async def test_a_closed_folder_takes_nothing(tmp_path: Path) -> None:
    logs = LogFolder(tmp_path)
    waiting = asyncio.create_task(logs.append(piece(0)))
    await asyncio.sleep(0)
    await logs.close()
    assert await waiting == len(LINE)
    with pytest.raises(StoreUnavailable):
        await logs.append(piece(len(LINE)))


def test_a_line_that_a_crash_cut_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson"
    path.write_bytes(LINE + b'{"te')
    log = LogFile.at(path, 1000)
    assert log.end == len(LINE)
    log.append(len(LINE), LINE, 0, False)
    assert path.read_bytes() == LINE * 2


def test_a_crash_between_note_and_bytes_keeps_offsets_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = LogFile.at(tmp_path / "a.ndjson", 1000)
    log.append(0, LINE, 0, False)
    with monkeypatch.context() as patched:
        patched.setattr(LogFile, "_write", lambda *_: (_ for _ in ()).throw(OSError("crash")))
        with pytest.raises(OSError, match="crash"):
            log.append(100, LINE, 100 - len(LINE), False)
    again = LogFile.at(tmp_path / "a.ndjson", 1000)
    again.append(100, LINE, 100 - len(LINE), False)
    assert again.end == 100 + len(LINE)
    assert again.read(100, 1000).data == LINE


def test_an_agent_that_sends_gaps_only_fills_no_note(tmp_path: Path) -> None:
    log = LogFile.at(tmp_path / "a.ndjson", 10_000_000)
    for number in range(MOST_GAPS + 50):
        log.append(number * 100, b"x\n", 98, False)
    assert len(log.gaps) <= MOST_GAPS + 1
    assert log.end == (MOST_GAPS + 49) * 100 + 2


Step = tuple[int, int, bool]


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3), st.booleans()), max_size=25))
def test_kept_and_dropped_bytes_account_for_every_offset(
    tmp_path_factory: pytest.TempPathFactory, steps: list[Step]
) -> None:
    """Whatever is dropped, sent again or reopened: reading gives each kept byte at its offset, and each gap once."""
    path = tmp_path_factory.mktemp("log") / "a.ndjson"
    log = LogFile.at(path, 100)
    written: dict[int, int] = {}
    offset = 0
    for lines, gap, reopen in steps:
        data = b"".join(b"%03d\n" % (offset + gap * 7 + 4 * n) for n in range(lines))
        before = log.size
        log.append(offset + gap * 7, data, gap * 7, False)
        log.append(offset + gap * 7, data, gap * 7, False)
        offset += gap * 7 + len(data) if data or gap else 0
        assert log.end == offset
        if log.size > before:
            written.update(enumerate(data, offset - len(data)))
        if reopen:
            log = LogFile.at(path, 100)
            assert log.end == offset
    found: dict[int, int] = {}
    missing = 0
    at = 0
    while at < log.end:
        part = log.read(at, 9)
        found.update(enumerate(part.data, part.offset))
        missing += part.dropped
        assert part.next > at
        at = part.next
    assert found == written
    assert missing + len(found) == log.end


def test_remains_of_a_cut_line_never_follow_a_shorter_one(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson"
    path.write_bytes(LINE + b"x" * 200)
    log = LogFile.at(path, 1000)
    log.append(len(LINE), LINE, 0, False)
    assert path.read_bytes() == LINE * 2
