"""Programs are run without a shell, streamed in bounded lines, and never outlive the call."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pilotage_plugin_api.context import PLAIN_ENVIRONMENT
from pilotage_plugin_api.errors import DeadlineExceeded, StepCancelled, StepFailed, TargetFailed
from pilotage_plugin_api.output import LineCutter
from pilotage_plugin_api.process_group import living_members
from pilotage_plugin_api.program import LINE_LIMIT, Command, ProgramResult, run_program

# Each of these starts processes, tells their pids, and then waits; all of them ignore SIGTERM.
STUBBORN = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
def linger(pids):
    with open(pids, "a") as out: out.write(f"{os.getpid()}\\n")
    while True: time.sleep(60)
if os.fork() == 0:
    if os.fork() == 0: linger(sys.argv[1])       # a grandchild in the group
    if os.fork() == 0:
        os.setpgid(0, 0); linger(sys.argv[1])    # one that left the group, but not the session
    os._exit(0)                                  # double fork: its children are orphans now
os.wait()
if sys.argv[2] == "stay": linger(sys.argv[1])
while open(sys.argv[1]).read().count("\\n") < 2 if os.path.exists(sys.argv[1]) else True: time.sleep(0.01)
"""


def command(*argv: str | bytes, **options: Any) -> Command:
    return Command(argv=argv, env=PLAIN_ENVIRONMENT, **options)


async def run(*argv: str | bytes, deadline: float | None = None, **options: Any) -> ProgramResult:
    return await run_program(command(*argv, **options), asyncio.Event(), deadline)


def stubborn(pids: Path, how: str, **options: Any) -> Command:
    return command(sys.executable, "-c", STUBBORN, str(pids), how, term_grace=0.05, **options)


async def started(pids: Path, number: int) -> list[int]:
    async with asyncio.timeout(10):
        while not pids.exists() or len(pids.read_text().split("\n")) <= number:  # noqa: ASYNC110 - other processes
            await asyncio.sleep(0.01)
    return [int(line) for line in pids.read_text().split()]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except FileNotFoundError:
        return False


async def test_arguments_are_handed_over_as_they_are() -> None:
    odd = ["$(touch x)", "a b", "*", "new\nline", ";", "ü"]
    result = await run("printf", "%s|", *odd)
    assert result.stdout.decode() == "|".join(odd) + "|"
    assert (await run("printf", "%s", b"\xff")).stdout == b"\xff"


async def test_nothing_of_our_environment_is_inherited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY", "1")
    result = await run("env")
    assert b"CANARY" not in result.stdout
    assert dict(line.split("=", 1) for line in result.stdout.decode().splitlines()) == PLAIN_ENVIRONMENT


async def test_exit_codes_and_signals_are_told() -> None:
    assert (await run("sh", "-c", "exit 3")).exit_code == 3
    killed = await run("sh", "-c", "kill -9 $$")
    assert killed.exit_code == -9
    assert killed.ending == "SIGKILL"


@pytest.mark.parametrize("argv", [["/no/such/program"], ["no-such-program"], ["/etc/passwd"], ["/"]])
async def test_what_cannot_be_started_is_the_hosts_news(argv: list[str]) -> None:
    with pytest.raises(TargetFailed, match="cannot run"):
        await run(*argv)


async def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(TargetFailed, match="no folder"):
        await run("true", cwd=tmp_path / "gone")


async def test_a_command_line_is_no_argument_list() -> None:
    with pytest.raises(ValueError, match="list of arguments"):
        await run_program(Command(argv="rm -rf x", env={}), asyncio.Event(), None)
    with pytest.raises(StepFailed, match="NUL"):
        await run("printf", "a\0b")


async def test_lines_are_streamed_while_it_runs() -> None:
    seen: list[bytes] = []
    first = asyncio.Event()

    def take(line: bytes) -> None:
        seen.append(line)
        first.set()

    task = asyncio.create_task(run("sh", "-c", "echo one; read x; echo $x", stdin=answer(first), on_stdout=take))
    result = await task
    assert seen == [b"one", b"two"]
    assert result.stdout == b"one\ntwo\n"


async def answer(after: asyncio.Event) -> AsyncIterator[bytes]:
    await after.wait()
    yield b"two\n"


async def test_a_huge_line_is_cut_and_memory_stays_bounded() -> None:
    seen: list[bytes] = []
    result = await run("sh", "-c", "head -c 20000000 /dev/zero; echo; echo end", on_stdout=seen.append)
    assert seen[0].startswith(b"\0" * LINE_LIMIT + b" [... %d bytes cut]" % (20_000_000 - LINE_LIMIT))
    assert seen[1:] == [b"end"]
    assert result.stdout_bytes == 20_000_005
    assert len(result.stdout) == 65536
    assert result.stdout.endswith(b"\nend\n")
    assert result.stdout_cut


async def test_binary_output_passes() -> None:
    everything = bytes(range(256)) * 10
    result = await run("cat", stdin=everything)
    assert result.stdout == everything


async def test_much_input_and_output_at_once_do_not_block_each_other() -> None:
    result = await run("cat", stdin=b"x" * 3_000_000)
    assert result.stdout_bytes == 3_000_000


async def test_a_program_may_stop_reading() -> None:
    assert (await run("true", stdin=b"x" * 3_000_000)).exit_code == 0


async def test_output_can_go_to_a_file(tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as out:
        await run("printf", "data", stdout_to=out.fileno())
    assert (tmp_path / "out").read_bytes() == b"data"


async def test_only_named_descriptors_are_passed() -> None:
    reading, writing = os.pipe()
    os.set_inheritable(reading, True)
    try:
        seen = await run("sh", "-c", f"ls /proc/self/fd; test ! -e /proc/self/fd/{reading}", pass_fds=[writing])
        assert seen.exit_code == 0
        assert str(writing) in seen.stdout.decode().split()
    finally:
        os.close(reading)
        os.close(writing)


async def test_what_a_program_leaves_behind_is_killed(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    result = await run("sh", "-c", f"trap '' TERM; sleep 60 & echo $! >> {pids}; exit 0")
    assert result.exit_code == 0
    [left] = [int(line) for line in pids.read_text().split()]
    assert not alive(left)


async def test_cancellation_kills_the_whole_session(tmp_path: Path) -> None:
    cancel = asyncio.Event()
    task = asyncio.create_task(run_program(stubborn(tmp_path / "pids", "stay"), cancel, None))
    pids = await started(tmp_path / "pids", 3)
    assert all(map(alive, pids))
    cancel.set()
    with pytest.raises(StepCancelled):
        await task
    assert not any(map(alive, pids))


async def test_the_deadline_kills_the_whole_session(tmp_path: Path) -> None:
    task = asyncio.create_task(
        run_program(stubborn(tmp_path / "pids", "stay"), asyncio.Event(), time.monotonic() + 0.7)
    )
    pids = await started(tmp_path / "pids", 3)
    with pytest.raises(DeadlineExceeded, match="python"):
        await task
    assert not any(map(alive, pids))


async def test_a_cancelled_task_kills_the_whole_session(tmp_path: Path) -> None:
    task = asyncio.create_task(run_program(stubborn(tmp_path / "pids", "stay"), asyncio.Event(), None))
    pids = await started(tmp_path / "pids", 3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not any(map(alive, pids))


async def test_an_impatient_second_cancel_still_kills(tmp_path: Path) -> None:
    slow = command(sys.executable, "-c", STUBBORN, str(tmp_path / "pids"), "stay", term_grace=30.0)
    task = asyncio.create_task(run_program(slow, asyncio.Event(), None))
    pids = await started(tmp_path / "pids", 3)
    task.cancel()
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not any(map(alive, pids[:1] + pids[2:]))


async def test_a_callback_that_fails_ends_the_program(tmp_path: Path) -> None:
    def refuse(line: bytes) -> None:
        raise StepFailed(f"cannot take {line!r}")

    with pytest.raises(StepFailed, match="cannot take"):
        await run("sh", "-c", f"echo $$ > {tmp_path}/pid; echo hello; sleep 60", on_stdout=refuse, term_grace=0.1)
    assert not alive(int((tmp_path / "pid").read_text()))


async def test_a_cancelled_attempt_starts_nothing(tmp_path: Path) -> None:
    cancel = asyncio.Event()
    cancel.set()
    with pytest.raises(StepCancelled):
        await run_program(command("touch", str(tmp_path / "x")), cancel, None)
    assert not (tmp_path / "x").exists()


async def test_no_descriptor_is_leaked() -> None:
    await run("true")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        await run("sh", "-c", "echo x; echo y >&2", stdin=b"z")
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_members_of_a_session_are_found() -> None:
    assert os.getpid() in living_members(os.getsid(0))
    assert signal.SIGKILL not in living_members(2**22 + 1)


@pytest.mark.parametrize("chunks", [[b"ab\ncd"], [b"a", b"b\nc", b"d"], [b"ab", b"\n", b"cd", b""]])
def test_lines_do_not_depend_on_how_bytes_arrive(chunks: list[bytes]) -> None:
    seen: list[bytes] = []
    cutter = LineCutter(seen.append, 16)
    for chunk in chunks:
        cutter.feed(chunk)
    cutter.finish()
    assert seen == [b"ab", b"cd"]
