"""What Ansible tells, line by line, and contents that are offered under a path."""

import asyncio
import json
import os
import threading
from pathlib import Path

import pytest
from pilotage_plugins.ansible.events import LONGEST_LINE, Course, listening
from pilotage_plugins.ansible.offered_file import offered

COUNTS = {"ok": 1, "changed": 1, "failures": 2, "unreachable": 0, "skipped": 0, "rescued": 0, "ignored": 0}


def test_a_course_counts_and_keeps_what_people_ask_for() -> None:
    course = Course()
    told = [
        {"event": "task", "name": "one"},
        {"event": "result", "host": "a", "task": "one", "action": "copy", "status": "failed", "message": "no"},
        {"event": "result", "host": "b", "task": "one", "action": "copy", "status": "failed", "ignored": True},
        {"event": "stats", "host": "a", **COUNTS},
        {"event": "end"},
    ]
    names = [course.take(json.dumps(each).encode()) for each in told]
    assert names == ["one", None, None, None, None]
    assert [(each.host, each.message) for each in course.failures] == [("a", "no")]
    assert (course.tasks, course.hosts["a"].failed, course.ended) == (1, 2, True)


@pytest.mark.parametrize("line", [b"", b"nonsense", b"[1]", b'{"event": "stats", "host": "a"}', b'{"event": "result"}'])
def test_what_cannot_be_read_is_left_out(line: bytes) -> None:
    course = Course()
    assert course.take(line) is None
    assert course == Course()


async def test_all_that_was_written_is_heard_and_a_line_without_end_is_dropped() -> None:
    course, begun = Course(), list[str]()
    lines = b"".join(json.dumps({"event": "task", "name": f"t{n}"}).encode() + b"\n" for n in range(3000))
    async with listening(course, begun.append) as handle:

        def write() -> None:
            for content in (lines, b"x" * (2 * LONGEST_LINE), b"\n", lines):
                while content:
                    content = content[os.write(handle, content) :]

        await asyncio.to_thread(write)
    assert course.tasks == 6000
    assert begun[-1] == "t2999"


async def test_an_offer_is_read_whole_as_often_as_somebody_asks(tmp_path: Path) -> None:
    content = os.urandom(300_000)
    async with offered(tmp_path / "v", content) as path:
        for _ in range(3):
            assert await asyncio.to_thread(path.read_bytes) == content
        assert not path.is_file()
        assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == []
    assert "offer v" not in {thread.name for thread in threading.enumerate()}


async def test_an_offer_that_nobody_takes_ends(tmp_path: Path) -> None:
    async with offered(tmp_path / "v", b"x"):
        pass
    assert list(tmp_path.iterdir()) == []
