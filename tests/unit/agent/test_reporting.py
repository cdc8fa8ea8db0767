"""What a plugin prints: whole lines only, bounded whatever comes, and no secret in two halves."""

import asyncio
import json
import tracemalloc
from pathlib import Path

import pytest
from pilotage_agent.runner.attempt_folder import AttemptFolder
from pilotage_agent.runner.reporting import PRINTED_LIMIT, AttemptReporter, PrintedText
from pilotage_agent.runner.step_log import LINE_LIMIT, StepLogWriter
from pilotage_plugin_api import Stream
from pilotage_proto.redaction import MASK, Redactor

SECRET = "correct horse battery"


@pytest.fixture
async def reporter(tmp_path: Path) -> AttemptReporter:
    folder = AttemptFolder(tmp_path / "a")
    redactor = Redactor([SECRET.encode()])
    log = StepLogWriter(folder.logs, lambda: 1, redactor.text)
    return AttemptReporter(log, folder, redactor, asyncio.get_running_loop())


def lines(tmp_path: Path) -> list[str]:
    return [json.loads(line)["m"] for line in (tmp_path / "a.log" / "log.0").read_text().splitlines()]


async def test_print_without_an_end_of_line_is_bounded_and_says_so(reporter: AttemptReporter, tmp_path: Path) -> None:
    printed = PrintedText(reporter, Stream.STDOUT)
    piece = "x" * 50_000
    tracemalloc.start()
    for _ in range(400):
        printed.write(piece)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * PRINTED_LIMIT
    printed.write("\nnext")
    printed.finish()
    first, second = lines(tmp_path)
    assert first == "x" * LINE_LIMIT + f" [... line cut after {LINE_LIMIT} characters]"
    assert second == "next"


async def test_a_secret_is_found_across_writes_and_flushes(reporter: AttemptReporter, tmp_path: Path) -> None:
    printed = PrintedText(reporter, Stream.STDERR)
    for letter in f"it is {SECRET}!":
        print(letter, end="", flush=True, file=printed)
    printed.finish()
    assert lines(tmp_path) == [f"it is {MASK}!"]


@pytest.mark.parametrize("before", range(LINE_LIMIT - len(SECRET) - 1, LINE_LIMIT + 1, 4))
async def test_a_secret_where_the_log_cuts_is_seen_whole(
    reporter: AttemptReporter, tmp_path: Path, before: int
) -> None:
    printed = PrintedText(reporter, Stream.STDOUT)
    printed.write("." * before + SECRET + "." * 100 + "\n")
    assert "corr" not in lines(tmp_path)[0]
