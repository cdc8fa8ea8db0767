"""How a running execution looks: lines for a log, a table for a terminal, a timeline at the end."""

import dataclasses
import io
import re
from datetime import datetime
from typing import Any

import pytest
from pilotage_client.answers import Event, Watched
from pilotage_coordinator.cli.commands.host import LONGEST_FACT, fact
from pilotage_coordinator.cli.commands.run import ALL_COLUMNS, listed
from pilotage_coordinator.cli.moments import span
from pilotage_coordinator.cli.render.board import Board
from pilotage_coordinator.cli.render.live import MOST_ROWS, picture, shown_rows
from pilotage_coordinator.cli.render.plan import plan_lines
from pilotage_coordinator.cli.render.run import run_lines
from pilotage_coordinator.cli.render.timeline import BAR, MOST_LINES
from pilotage_coordinator.cli.screen import Screen, clean, console, fold
from pilotage_coordinator.domain.execution import codec, events
from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_proto.attempt import AttemptKind

BEGAN = "2026-01-01T00:00:00.000000Z"


def _event(type: str, second: int = 0, **data: Any) -> Watched:
    at = f"2026-01-01T00:00:{second:02d}.000000Z"
    return Watched(event=Event(execution="exe_1", sequence=1, at=at, type=type, data=data), progress=[])


def _run(host: str, path: str = "save", item: str = "", **fields: Any) -> dict[str, Any]:
    return {"path": path, "host": host, "item": item, "kind": "run", "attempt": 1, **fields}


def _watch(*watched: Watched) -> tuple[Board, list[str]]:
    board = Board()
    return board, [line.text for each in watched for line in board.take(each)]


def test_a_run_is_told_line_by_line() -> None:
    finished: dict[str, Any] = {"started_at": 1_000_000, "ended_at": 4_500_000}
    board, lines = _watch(
        _event("execution_begun", seed="s", requested_by="ann"),
        _event("execution_moved", to="running"),
        _event("attempt_planned", 1, **_run("db1", item="pgdata")),
        _event("attempt_begun", 1, **_run("db1", item="pgdata", started_at=1)),
        _event(
            "attempt_finished", 5, **_run("db1", item="pgdata", outcome="succeeded", becomes="succeeded", **finished)
        ),
        _event("attempt_planned", 5, **_run("db2")),
        _event("attempt_finished", 6, **_run("db2", outcome="failed", becomes="pending", error="busy", retry_at=9)),
        _event("attempt_planned", 7, **_run("db2") | {"attempt": 2}),
        _event("attempt_finished", 8, **_run("db2", outcome="failed", becomes="failed", error="no space")),
        _event("runs_settled", 8, runs=[["prune", "db2", ""]], status="not_run", reason="save failed"),
        _event("execution_moved", 9, to="failed", reason="save on db2 failed"),
    )
    assert lines == [
        "00:00 execution is running",
        "00:01 db1: runs save[pgdata]",
        "00:05 db1: save[pgdata] succeeded in 3.5s",
        "00:05 db2: runs save",
        "00:06 db2: save failed, will be tried again: busy",
        "00:07 db2: runs save (attempt 2)",
        "00:08 db2: save failed: no space",
        "00:08 db2: prune not run: save failed",
        "00:09 execution is failed: save on db2 failed",
    ]
    assert (board.hosts["db1"].done, board.hosts["db2"].bad, board.state) == (1, 1, "failed")


def test_every_event_type_there_is_can_be_taken() -> None:
    samples: dict[str, Any] = {
        "runs": (RunKey("a", "db1", ""),),
        "hosts": ("db1",),
        "kind": AttemptKind.RUN,
        "attempt": 1,
        "number": 2,
        "to": "running",
        "status": "skipped",
        "outcome": "approved",
        "becomes": "failed",
        "reason": "offline",
        "as_": "retry",
        "cause": "stop",
        "scope": "step",
        "answer": "approve",
        "gate": {},
        "escalations": 1,
        "of": ("bert",),
        "items": (),
        "started_at": 1,
    }
    assert codec.EVENT_TYPES
    for name, kind in codec.EVENT_TYPES.items():
        given = {
            each.name: samples.get(each.name, "x")
            for each in dataclasses.fields(kind)
            if each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING
        }
        made = kind(**given)
        assert isinstance(made, events.Event)
        data: dict[str, Any] = codec.encode(made)
        Board().take(_event(name, **data))


def test_gates_and_unknowns_are_kept_until_they_are_answered() -> None:
    board, _ = _watch(
        _event("gate_opened", name="look", path="roll", host="db1", item="", prompt="All well?"),
        _event("attempt_finished", **_run("db1", outcome="interrupted", becomes="unknown", error="host rebooted")),
    )
    assert (board.gates, list(board.unknown)) == ({"look": "All well?"}, [("save", "db1", "")])
    board.take(_event("gate_answered", name="look", by="ann", outcome="approved"))
    board.take(_event("unknown_settled", path="save", host="db1", item="", as_="failed", by="ann"))
    assert (board.gates, board.unknown) == ({}, {})


def _drawn(board: Board, width: int = 100, height: int = 40) -> list[str]:
    now = datetime.fromisoformat("2026-01-01T00:00:30+00:00")
    lines = picture(board, width, height, now)
    assert all(line.cell_len < width for line in lines)
    assert len(lines) < height
    return [line.plain for line in lines]


def test_the_table_shows_what_each_host_does_and_no_markup_of_theirs() -> None:
    board, _ = _watch(
        _event("execution_begun", seed="s", requested_by="ann"),
        _event("execution_moved", to="running"),
        _event("attempt_planned", 10, **_run("db1")),
        _event("attempt_begun", 10, **_run("db1", started_at=1)),
        _event("attempt_finished", 12, **_run("db2", outcome="failed", becomes="failed")),
    )
    progress = {"step": "save", "host": "db1", "item": "", "fraction": 0.5, "text": "[red]40 of 80 GiB\x1b[2J"}
    board.take(Watched(event=None, progress=[progress]))  # type: ignore[list-item]
    assert _drawn(board) == [
        "db1  ⠋ save        20s  ━━━━━━━━────────  [red]40 of 80 GiB\\x1b[2J",
        "db2  ✗ save             0 done, 1 failed",
        "running · 30s",
    ]


def test_a_host_that_does_two_things_at_once_shows_the_other_when_one_has_ended() -> None:
    board, _ = _watch(
        _event("attempt_planned", 10, **_run("db1")),
        _event("attempt_begun", 10, **_run("db1", started_at=1)),
        _event("attempt_planned", 12, **_run("db1", path="dump")),
    )
    assert _drawn(board)[0].startswith("db1  ⠋ save +1")
    board.take(_event("attempt_finished", 14, **_run("db1", outcome="succeeded", becomes="succeeded")))
    assert _drawn(board)[0].startswith("db1  ⠋ dump ")
    board.take(_event("attempt_finished", 14, **_run("db1", path="dump", outcome="succeeded", becomes="succeeded")))
    assert _drawn(board)[0].split() == ["db1", "✓", "dump", "2", "done"]


@pytest.mark.parametrize("width", [20, 40, 60, 80, 200])
def test_the_picture_fits_every_terminal(width: int) -> None:
    board, _ = _watch(
        _event(
            "attempt_planned", 10, **_run("a-host-with-a-long-name.example.org", path="protect/volumes", item="x" * 50)
        )
    )
    board.expect(f"h{number}" for number in range(40))
    _drawn(board, width, 10)


def test_hosts_that_wait_have_a_row_from_the_beginning() -> None:
    board = Board()
    board.expect(["db1", "db2"])
    assert [line.split() for line in _drawn(board)] == [
        ["db1", "·", "pending", "0", "done"], ["db2", "·", "pending", "0", "done"], ["pending"],
    ]  # fmt: skip


def test_in_a_large_fleet_the_troubled_and_the_busy_are_shown() -> None:
    board = Board()
    for number in range(500):
        board.take(_event("attempt_finished", **_run(f"h{number:03}", outcome="succeeded", becomes="succeeded")))
    board.take(_event("attempt_finished", **_run("h499", outcome="failed", becomes="failed")))
    board.take(_event("attempt_planned", **_run("h498")))
    names = [row.host for row in shown_rows(board)]
    assert len(names) == MOST_ROWS
    assert {"h498", "h499"} <= set(names)
    assert "500 hosts: 1 failed, 1 busy, 498 well (480 not shown)" in _drawn(board)[-1]
    assert len(_drawn(board, height=12)) < 12


def _detail(*runs: dict[str, Any], **fields: Any) -> Any:
    base = {
        "step": "save",
        "name": "save",
        "host": "db1",
        "item": "",
        "state": "succeeded",
        "waits_for": "",
        "detail": "",
        "attempts": 1,
        "started_at": BEGAN,
        "ended_at": BEGAN,
        "error": "",
        "failure_kind": "",
        "outputs": {},
        "evidence": {},
    }
    return {
        "id": "exe_1",
        "blueprint": "b",
        "version": "1.0.0",
        "name": "",
        "parameters": {"days": 3},
        "plan_digest": "sha256:0",
        "state": "completed",
        "reason": "",
        "requested_by": "ann",
        "created_at": BEGAN,
        "started_at": BEGAN,
        "ended_at": "2026-01-01T00:00:10.000000Z",
        "counts": {"succeeded": 1},
        "warnings": [],
        "sequence": 1,
        "outputs": {},
        "runs": [{**base, **run} for run in runs],
        "runs_omitted": 0,
        "gates": [],
        **fields,
    }


def test_the_timeline_is_to_scale() -> None:
    runs = (
        {"ended_at": "2026-01-01T00:00:05.000000Z"},
        {"host": "db2", "started_at": "2026-01-01T00:00:05.000000Z", "ended_at": "2026-01-01T00:00:10.000000Z"},
        {"host": "db3", "state": "not_run", "started_at": "", "ended_at": ""},
    )
    lines = [line.text for line in run_lines(_detail(*runs)) if line.text.startswith("  db")]
    assert lines[0].endswith("━" * (BAR // 2))
    assert lines[1].endswith(" " * (BAR // 2) + "━" * (BAR // 2))
    assert lines[2].endswith("not run")


@pytest.mark.parametrize("width", [60, 80, 100, 400])
def test_the_timeline_fits_the_terminal(width: int) -> None:
    runs = ({"step": "protect/databases", "item": "sqlite/app/app.db", "ended_at": "2026-01-01T00:00:05.000000Z"},)
    lines = [line.text for line in run_lines(_detail(*runs), width) if line.text.startswith("  db")]
    assert lines
    assert all(len(line) <= width for line in lines)
    assert all(("✓" in line) is (width < 110) for line in lines)


def test_what_was_read_while_planning_comes_first_and_says_so() -> None:
    runs = ({"host": "db2"}, {"host": "db1", "step": "discover", "started_at": "", "ended_at": ""})
    lines = [line.text for line in run_lines(_detail(*runs)) if line.text.startswith("  db")]
    assert lines[0].split() == ["db1", "discover", "succeeded", "while", "planning"]


def test_of_many_step_runs_each_host_has_one_line_unless_every_one_is_asked_for() -> None:
    hosts = [f"h{number:02}" for number in range(40)]
    runs = [{"host": host, "step": step} for host in hosts for step in ("save", "check")]
    runs[0]["state"] = "failed"
    detail = _detail(*runs)
    assert len(runs) > MOST_LINES
    few = [line for line in run_lines(detail, every=False) if line.text.startswith("  h")]
    assert len(few) == 40
    assert few[0].text.split()[:6] == ["h00", "1", "failed,", "1", "succeeded", "failed"]
    assert "bold red" in few[0].style
    assert len([line for line in run_lines(detail) if line.text.startswith("  h")]) == 80


def test_a_long_line_is_folded_between_words_and_further_in() -> None:
    assert fold("  1. save  backup.create, after open and close", 30) == [
        "  1. save  backup.create,",
        "      after open and close",
    ]
    assert fold("/" + "x" * 50, 30) == ["/" + "x" * 50]


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def _plain(text: str) -> list[str]:
    return re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()


def test_a_table_wider_than_the_terminal_goes_on_below_in_its_last_column(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    monkeypatch.setenv("TERM", "xterm")  # a dumb one has 80 columns, whatever is said
    written = _Terminal()
    screen = Screen(console(written), console(written), json=False, interactive=False)
    screen.table(("CHECK", "FOUND"), [("disk", "much is free here, and more is there"), ("clock", "ok")], "")
    assert _plain(written.getvalue()) == [
        "CHECK  FOUND",
        "disk   much is free here, and",
        "       more is there",
        "clock  ok",
    ]


def test_a_folded_line_stays_whole_where_there_is_no_terminal() -> None:
    written = io.StringIO()
    text = "word " * 200 + "end"
    Screen(console(written), console(written), json=False, interactive=False).folded(text)
    assert written.getvalue() == text + "\n"


def test_an_error_is_folded_for_reading_and_a_command_left_for_copying() -> None:
    detail = _detail({"state": "failed", "error": "the disk is full, " * 10}, state="failed", id="exe_" + "0" * 32)
    lines = [line.text for line in run_lines(detail, 60)]
    assert all(len(each) <= 60 for each in lines if "disk" in each)
    assert any(each.startswith("    pilotage logs ") for each in lines)
    assert any(each.endswith("--failed-hosts") and len(each) > 60 for each in lines)
    assert len([line for line in run_lines(detail) if "disk" in line.text]) == 1


def test_an_error_is_not_told_again_when_the_execution_fails_of_it() -> None:
    _, lines = _watch(
        _event("execution_begun", seed="s", requested_by="ann"),
        _event("attempt_finished", 8, **_run("db2", outcome="failed", becomes="failed", error="no space")),
        _event("execution_moved", 9, to="failed", reason="save on db2 failed: no space"),
    )
    assert lines[-2:] == ["00:08 db2: save failed: no space", "00:09 execution is failed: save on db2 failed"]


def test_a_narrow_list_of_executions_says_which_run_it_was() -> None:
    row = _detail(
        state="completed", id="exe_" + "0" * 32, blueprint="quick_backup", version="1.1.0", requested_by="root"
    )
    for narrow, most in ((True, 80), (False, ALL_COLUMNS)):
        columns, rows = listed([row], narrow=narrow)
        assert len(columns) == len(rows[0])
        assert len("  ".join(rows[0])) <= most
        assert rows[0][-1] == "quick_backup@1.1.0"


def _planned(path: str, *previews: tuple[str, str, str]) -> dict[str, Any]:
    """Return a planned step; a preview is its host, its item and its note."""
    change = {"action": "create", "subject": "/vault", "before": None, "after": None, "note": ""}
    nothing: dict[str, list[Any]] = {key: [] for key in ("dependencies", "hosts", "waves", "steps", "finally_steps")}
    return {
        "path": path,
        "kind": "leaf",
        "type": "command.run",
        "effect": "once",
        "place": "agent",
        "on_failure": "stop",
        "undo": "none",
        "max_failures": None,
        **dict.fromkeys(("run_once", "max_parallel", "loops", "irreversible", "destructive"), False),
        **dict.fromkeys(("when", "hosts_from"), ""),
        **nothing,
        "previews": [
            {"host": host, "item": item, "complete": True, "note": note, "changes": [change]}
            for host, item, note in previews
        ],
    }


def _plan(*steps: dict[str, Any], **parameters: Any) -> Any:
    return {
        "blueprint": "b",
        "version": "1.0.0",
        "name": "",
        "targets": ["db1", "db2"],
        "digest": "sha256:0",
        "step_runs": 1,
        "most_step_runs": 1,
        "parameters": parameters,
        "steps": list(steps),
        "on_failure": "stop",
        **{key: [] for key in ("secrets", "finally_steps", "rollback_steps", "policy", "compliance", "notes")},
    }


def test_a_remark_that_many_hosts_make_is_shown_once() -> None:
    note = "whoever takes the host over can delete it"
    steps = (
        _planned("save", ("db1", "a", note), ("db1", "b", note), ("db2", "a", note)),
        _planned("prune", ("db2", "", "")),
    )
    lines = [line.text for line in plan_lines(_plan(*steps))]
    assert [each for each in lines if "!" in each] == [f"  ! save on db1, db2: {note}"]
    assert lines.count("    + save[a]: create /vault") == 2


def test_a_parameter_says_which_of_its_hosts_the_plan_reaches() -> None:
    given = {"hosts": ["db1", "db2", "db3"], "same": ["db1", "db2"], "other": ["x"], "days": [1, 2]}
    lines = [line.text for line in plan_lines(_plan(**given))]
    assert '  hosts = ["db1", "db2", "db3"], of which this plan reaches db1, db2' in lines
    assert '  same = ["db1", "db2"]' in lines
    assert sum("reaches" in each for each in lines) == 1


def test_what_a_person_must_decide_is_said_with_the_command() -> None:
    gate: dict[str, Any] = {"name": "look", "step": "roll", "host": "", "prompt": "All well?", "opened_at": BEGAN}
    gate |= {"approval": "", "asks": "", "agreed": [], "expires_at": ""}
    asks = {"approval": "apr_1", "asks": "2 of role:dba", "agreed": ["bert"], "expires_at": BEGAN, "prompt": "Go on?"}
    run = _detail(
        {"state": "unknown", "item": "pg data", "error": "interrupted"},
        state="needs_attention",
        gates=[gate, {**gate, **asks}],
    )
    text = "\n".join(line.text for line in run_lines(run))
    assert "pilotage run release exe_1 look" in text
    assert "Go on?: 2 of role:dba must approve, bert agreed, until " in text
    assert "pilotage approval show apr_1" in text
    assert "pilotage run resolve exe_1 save --host db1 --item 'pg data' --as succeeded|failed|retry" in text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0ms"),
        (0.04, "40ms"),
        (1.44, "1.4s"),
        (9.96, "10s"),
        (59.6, "1m00s"),
        (3599.7, "1h00m"),
        (100_000, "1d03h"),
    ],
)
def test_a_length_of_time_is_short(seconds: float, text: str) -> None:
    assert span(seconds) == text


@pytest.mark.parametrize(
    ("raw", "shown"),
    [("ünï ✓", "ünï ✓"), ("a\x1b[31mb\r", "a\\x1b[31mb\\x0d"), ("\u202eabc", "\\u202eabc"), ("a\tb\nc", "a\tb\nc")],
)
def test_control_characters_are_seen_and_do_nothing(raw: str, shown: str) -> None:
    assert clean(raw) == shown


def test_a_long_fact_is_shown_by_its_beginning() -> None:
    assert fact(["nginx"]) == '["nginx"]'
    shown = fact([f"package{number}" for number in range(500)])
    assert shown.startswith('["package0", "package1"')
    assert shown.endswith("… (500 in all; --json shows it whole)")
    assert len(shown) < LONGEST_FACT + 50


def test_a_run_of_a_command_is_known_by_its_words_and_every_run_by_its_parameters() -> None:
    command = _detail({}, blueprint="command", version="0.0.0", name="df -h /srv", parameters={"argv": ["df", "-h"]})
    lines = [line.text for line in run_lines(command)]
    assert lines[0] == "$ df -h /srv  completed"
    assert '  argv = ["df", "-h"]' in lines
    assert "  days = 3" in [line.text for line in run_lines(_detail({}))]
    assert "  token = <sensitive>" in [
        line.text for line in run_lines(_detail({}, parameters={"token": {"sensitive": "hmac"}}))
    ]
