"""Lines of logs: in order, resumed by cursor, followed until the execution is over."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pilotage_coordinator.domain.execution.inputs import Begin
from pilotage_coordinator.domain.fleet import LogPiece
from pilotage_coordinator.engine.due import attempt_key, due
from pilotage_coordinator.runtime import logs as logs_module
from pilotage_coordinator.runtime.logs import BadLogCursor, Logs
from pilotage_coordinator.store.logs import LogFolder
from pilotage_proto.attempt import AttemptKey

from tests.unit.engine.build import Run, leaf, plan

PAGE = 2
"""Attempts that the store gives at once."""


@dataclass
class Desk:
    """A run whose attempts the store knows, and the folder of its logs."""

    run: Run
    folder: LogFolder
    keys: dict[str, AttemptKey] = field(default_factory=dict)

    async def state(self, execution: str) -> Any:
        return self.run.state

    async def attempt_keys(
        self, execution: str, path: str, host: str = "", after: AttemptKey | None = None
    ) -> list[AttemptKey]:
        wanted = sorted(key for key in self.keys.values() if key.path == path and host in ("", key.host))
        return [key for key in wanted if after is None or key > after][:PAGE]

    def note_open(self) -> None:
        for attempt in due(self.run.state).assign:
            key = attempt_key(self.run.state, attempt)
            self.keys[f"{key.path}@{key.host}"] = key

    async def write(self, where: str, *texts: str, last: bool = False) -> None:
        key = self.keys[where]
        data = b"".join(f'{{"t":1,"s":"stdout","m":"{text}"}}\n'.encode() for text in texts)
        end = (await self.folder.read(key, -1, 1)).end
        await self.folder.append(LogPiece(key, end, data, last=last))

    @property
    def logs(self) -> Logs:
        return Logs(self, self.folder, self)  # type: ignore[arg-type]


@pytest.fixture
async def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    monkeypatch.setattr(logs_module, "LOOK_AGAIN", 0.0)
    run = Run(plan(leaf("a", "h1", "h2"), leaf("b", "h1", after=["a"])), begin=False)
    run.give(Begin("seed", "anna"))
    found = Desk(run, LogFolder(tmp_path))
    found.note_open()
    yield found
    await found.folder.close()


async def test_lines_come_by_step_and_host_and_a_cursor_goes_on_where_it_was_taken(desk: Desk) -> None:
    await desk.write("a@h2", "three")
    await desk.write("a@h1", "one", "two")
    lines = await desk.logs.read("exe_1", "", "", "", 100)
    assert [(line.host, line.text) for line in lines] == [("h1", "one"), ("h1", "two"), ("h2", "three")]
    rest = await desk.logs.read("exe_1", "", "", lines[0].cursor, 100)
    assert [line.text for line in rest] == ["two", "three"]
    assert [line.text for line in await desk.logs.read("exe_1", "a", "h2", "", 100)] == ["three"]
    assert len(await desk.logs.read("exe_1", "", "", "", 2)) == 2


async def test_attempts_beyond_one_page_of_the_store_have_their_lines_too(desk: Desk) -> None:
    hosts = [f"h{number}" for number in range(1, 8)]
    for host in hosts:
        desk.keys[f"a@{host}"] = desk.keys["a@h1"]._replace(host=host)
        await desk.write(f"a@{host}", f"of {host}", "more")
    lines = await desk.logs.read("exe_1", "", "", "", 100)
    assert [line.text for line in lines] == [text for host in hosts for text in (f"of {host}", "more")]
    rest = await desk.logs.read("exe_1", "", "", lines[8].cursor, 100)
    assert rest == lines[9:]
    assert await desk.logs.read("exe_1", "a", "h6", lines[8].cursor, 100) == lines[10:12]
    assert await desk.logs.read("exe_1", "a", "h2", lines[8].cursor, 100) == []


async def test_what_is_no_record_is_shown_as_it_came(desk: Desk) -> None:
    await desk.folder.append(LogPiece(desk.keys["a@h1"], 0, b"not json \xff\n"))
    (line,) = await desk.logs.read("exe_1", "", "", "", 10)
    assert line.text == "not json \ufffd"


async def test_what_was_not_kept_is_said_where_it_is_missing(desk: Desk) -> None:
    key = desk.keys["a@h1"]
    await desk.write("a@h1", "one")
    end = (await desk.folder.read(key, -1, 1)).end
    await desk.folder.append(LogPiece(key, end + 500, b'{"t":2,"s":"stdout","m":"two"}\n', dropped=500))
    end = (await desk.folder.read(key, -1, 1)).end
    await desk.folder.append(LogPiece(key, end + 70, b"", dropped=70, last=True))
    lines = await desk.logs.read("exe_1", "", "", "", 10)
    told = [
        "one",
        "[500 bytes left out: the step wrote more than is kept of a log]",
        "two",
        "[70 bytes left out: the step wrote more than is kept of a log]",
    ]
    assert [line.text for line in lines] == told
    for number, line in enumerate(lines, start=1):
        rest = await desk.logs.read("exe_1", "", "", line.cursor, 10)
        assert [each.text for each in rest] == told[number:]


@pytest.mark.parametrize("cursor", ["nonsense", f"exe_1/a/h1//run/1@{2**63}", f"exe_1/a/h1//run/{2**63}@1"])
async def test_a_foreign_cursor_is_refused(desk: Desk, cursor: str) -> None:
    with pytest.raises(BadLogCursor):
        await desk.logs.read("exe_1", "", "", cursor, 10)


async def test_following_sees_later_lines_and_later_attempts_and_ends(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs_module, "PATIENCE", 1_000_000)
    await desk.write("a@h1", "early")
    seen: list[str] = []

    async def follow() -> None:
        async for line in desk.logs.follow("exe_1", "", "", ""):
            seen.append(line.text)

    following = asyncio.create_task(follow())
    await _until(lambda: "early" in seen)
    await desk.write("a@h1", "late", last=True)
    desk.run.end("a@h1")
    await desk.write("a@h2", last=True)
    desk.run.end("a@h2")
    desk.note_open()
    await desk.write("b@h1", "next step")
    await _until(lambda: "next step" in seen)
    desk.run.end("b@h1")
    await desk.write("b@h1", "after its end", last=True)
    async with asyncio.timeout(10):
        await following
    assert sorted(seen) == ["after its end", "early", "late", "next step"]


async def test_following_does_not_wait_for_ever_for_a_log_that_never_ends(desk: Desk) -> None:
    for where in ("a@h1", "a@h2"):
        desk.run.end(where)
    desk.note_open()
    desk.run.end("b@h1")
    assert desk.run.state.terminal
    async with asyncio.timeout(10):
        assert [line async for line in desk.logs.follow("exe_1", "", "", "")] == []


async def _until(met: Any) -> None:
    async with asyncio.timeout(10):
        while not met():  # noqa: ASYNC110 - the reader under test is another task of this loop
            await asyncio.sleep(0)
