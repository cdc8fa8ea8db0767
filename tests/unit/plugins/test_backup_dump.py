"""The stream of a dump ends only when the dump did."""

import asyncio
from pathlib import Path

import pytest
from pilotage_plugin_api import StepError, StepFailed
from pilotage_plugin_api.testing import Harness
from pilotage_plugins.backup.dump import Dump, DumpProgram
from pilotage_plugins.backup.server import Login
from pilotage_plugins.backup.signals import EitherSignal


def explain(said: str, ending: str) -> StepError:
    return StepFailed(f"{ending}: {said}")


def dump_of(harness: Harness, tmp_path: Path, line: str, end_mark: bytes = b"") -> Dump:
    (scratch := tmp_path / "attempt").mkdir()
    ctx = harness.context("exe_1/db/host1//run/1", scratch)
    return Dump(ctx, DumpProgram(["sh", "-c", line], Login(), explain, end_mark))


async def test_a_good_dump_is_streamed_whole(harness: Harness, tmp_path: Path) -> None:
    dump = dump_of(harness, tmp_path, "head -c 3000000 /dev/zero; echo done", b"done")
    size = sum([len(chunk) async for chunk in dump.stream()])
    assert (size, dump.bytes) == (3_000_005, 3_000_005)
    assert not dump.failed.is_set()
    assert len(dump.sha256) == 64


@pytest.mark.parametrize(
    ("line", "end_mark", "why"),
    [
        ("echo part; echo broken >&2; exit 3", b"", "exit code 3: broken"),
        ("echo part; kill -9 $$", b"", "SIGKILL"),
        ("true", b"", "wrote nothing"),
        ("echo part", b"-- Dump completed", "has no end"),
        ("echo -- Dump completed; head -c 9000 /dev/zero", b"-- Dump completed", "has no end"),
    ],
)
async def test_the_stream_of_a_bad_dump_never_ends(
    harness: Harness, tmp_path: Path, line: str, end_mark: bytes, why: str
) -> None:
    dump = dump_of(harness, tmp_path, line, end_mark)

    async def consume() -> None:
        async for _chunk in dump.stream():
            pass

    consumer = asyncio.create_task(consume())
    await asyncio.wait_for(dump.failed.wait(), 20)
    for _ in range(5):
        await asyncio.sleep(0)
    assert not consumer.done(), "restic would take this for the end of a good dump"
    consumer.cancel()
    await asyncio.wait([consumer])
    assert why in str(dump.failure)


async def test_a_missing_program_is_a_failure_of_the_dump(harness: Harness, tmp_path: Path) -> None:
    dump = Dump(harness.context("k", tmp_path), DumpProgram(["no-such-dump"], Login(), explain))

    async def consume() -> None:
        async for _chunk in dump.stream():
            pass

    consumer = asyncio.create_task(consume())
    await asyncio.wait_for(dump.failed.wait(), 20)
    consumer.cancel()
    await asyncio.wait([consumer])
    assert "no-such-dump" in str(dump.failure)


async def test_either_signal_is_set_by_any_of_two() -> None:
    one, other = asyncio.Event(), asyncio.Event()
    either = EitherSignal(one, other)
    assert not either.is_set()
    waiting = asyncio.create_task(either.wait())
    other.set()
    await asyncio.wait_for(waiting, 5)
    assert either.is_set()
