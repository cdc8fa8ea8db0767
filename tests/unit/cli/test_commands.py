"""What each command writes, in words and in JSON, and the code it ends with."""

import io
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import typer
import typer.main
from pilotage_coordinator.cli import completion
from pilotage_coordinator.cli.app import app
from pilotage_coordinator.cli.settings import GlobalOptions
from pilotage_coordinator.domain.execution.errors import Refused
from pilotage_coordinator.domain.execution.states import ExecutionStatus
from pilotage_coordinator.domain.plan import Json
from pilotage_coordinator.domain.proof import ProofKind
from pilotage_coordinator.domain.secret_grant import grant_of
from pilotage_coordinator.runtime.planner import PlanDrifted
from pilotage_coordinator.store.records import EventRecord, SecretRecord

from tests.unit.cli.terminal import Said, Terminal
from tests.unit.service.desk import DIGEST, EXECUTION, GUEST, NOW, SOURCE, Desk, FakeFinding, FakeLine


async def one_host(desk: Desk) -> None:
    await desk.add_host("db1")
    await desk.add_host("db2")


async def one_execution(desk: Desk) -> None:
    await desk.add_execution()
    desk.runs.events = [
        EventRecord(1, NOW, "execution_begun", {"seed": "s", "requested_by": "ann"}),
        *moved("completed"),
    ]


def moved(to: str) -> list[EventRecord]:
    return [EventRecord(2, NOW + 1_500_000, "execution_moved", {"to": to})]


@pytest.fixture
def blueprint(tmp_path: Path) -> str:
    file = tmp_path / "check.yaml"
    file.write_text(SOURCE)
    return str(file)


# --- lists and JSON -----------------------------------------------------------------------------------------------

LISTS = [("host", "list"), ("blueprint", "list"), ("run", "list"), ("secret", "list")]


@pytest.mark.parametrize("words", LISTS, ids=" ".join)
def test_an_empty_list_is_empty_json_and_says_how_to_begin(terminal: Terminal, words: tuple[str, ...]) -> None:
    assert terminal.run(*words, "--json").json == []
    said = terminal.run(*words)
    assert (said.code, said.out) == (0, "")
    assert "pilotage " in said.err


def test_hosts_are_listed_with_state_and_labels(terminal: Terminal) -> None:
    said = terminal.run("host", "list", prepare=one_host)
    assert [line.split()[:3] for line in said.out.splitlines()] == [
        ["NAME", "STATE", "LABELS"], ["db1", "online", "role=db"], ["db2", "offline", "role=db"],
    ]  # fmt: skip
    assert [each["state"] for each in terminal.run("--json", "host", "list", prepare=one_host).json] == [
        "online",
        "offline",
    ]


def test_a_host_tells_its_last_good_backup_and_a_failure_since(terminal: Terminal) -> None:
    async def prepare(desk: Desk) -> None:
        await one_host(desk)
        await desk.add_execution()
        await desk.prove("db1", ProofKind.BACKUP, passed=True, detail={"snapshot_id": "cafe"})
        await desk.prove("db1", ProofKind.DRILL, passed=False)

    shown = terminal.run("host", "show", "db1", prepare=prepare).out
    assert re.search(rf"Backup +last good .* ago, {EXECUTION} save\[srv\], snapshot_id cafe\n", shown)
    assert re.search(rf"Drill +none passed yet\n +failed .* ago, {EXECUTION} save\[srv\]\n", shown)
    _, first, second = terminal.run("host", "list", prepare=prepare).out.splitlines()
    assert first.count("ago") == second.count("ago") + 1


def test_a_host_says_what_it_cannot_run_now_and_why(terminal: Terminal) -> None:
    async def prepare(desk: Desk) -> None:
        gone: dict[str, Json] = {"available": False, "reason": "restic is not installed:\n apt-get install restic"}
        backups = tuple({"name": f"backup.{verb}", **gone} for verb in ("verify", "create"))
        await desk.add_host(
            "db1", (*backups, {"name": "command.run"}, {"name": "file.read"}, {"name": "file.write", "available": True})
        )

    lines = terminal.run("host", "show", "db1", prepare=prepare).out.splitlines()
    assert lines[lines.index("Can run") :] == [
        "Can run",
        "  command.run",
        "  file.read, file.write",
        "",
        "Cannot run now",
        "  backup.create, backup.verify: restic is not installed: apt-get install restic",
    ]


def test_a_host_is_labelled_and_a_label_removed(terminal: Terminal) -> None:
    said = terminal.run(
        "host", "set", "db1", "--label", "role=web", "-e", "prod", "--var", "n=[1]", "--json", prepare=one_host
    )
    assert (said.json["labels"]["role"], said.json["environment"], said.json["variables"]) == (
        "web",
        "prod",
        {"n": [1]},
    )
    assert said.audit == [("host.set", "allowed", "db1")]
    assert terminal.run("host", "set", "db1", "--label", "role", prepare=one_host).code == 2
    assert terminal.run("host", "set", "db1", prepare=one_host).code == 2


def test_a_token_is_printed_alone_so_that_it_can_be_copied(terminal: Terminal) -> None:
    said = terminal.run("host", "token", "db3")
    assert said.out == "pilotage-agent join plg1.secret\n"
    assert "run this on the machine" in said.err


# --- blueprints ---------------------------------------------------------------------------------------------------


def test_validate_says_so_and_expands(terminal: Terminal, blueprint: str) -> None:
    assert terminal.run("blueprint", "validate", blueprint).out == f"{blueprint}: check@1.0.0 is valid (1 step)\n"
    assert terminal.run("blueprint", "validate", blueprint, "--expand").out.startswith("pilotage: 1\n")


def test_every_problem_of_a_blueprint_is_shown_with_file_line_and_column(terminal: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text(
        SOURCE.replace("days: {type: integer, default: 3}", "days: {typ: integer}").replace("steps", "stepz")
    )
    said = terminal.run("blueprint", "validate", str(file))
    assert (said.code, said.out) == (1, "")
    assert f"{file}:8:14: " in said.err
    assert "did you mean `steps`" in said.err
    problems = json.loads(terminal.run("blueprint", "validate", str(file), "--json").err)["problems"]
    assert {8, 11} <= {each["line"] for each in problems}


def test_choices_are_shown_with_the_hosts_that_have_them(terminal: Terminal) -> None:
    async def added(desk: Desk) -> None:
        await desk.services.library.add(SOURCE, "check.yaml", added_by="ann", audit=())

    said = terminal.run("blueprint", "choices", "check", "note", "-p", "days=5", prepare=added)
    assert said.out.splitlines() == [
        "VALUE  HOSTS",
        "shop   db1, db2",
        "web    db1",
        "db2: it has more than it can tell at once",
        "db3: it is offline",
    ]
    assert said.audit == [("blueprint.choices", "allowed", "check note")]
    assert terminal.run("blueprint", "choices", "check", "note", "--json", prepare=added).json["items"][1] == {
        "value": "web",
        "hosts": ["db1"],
    }
    assert terminal.run("blueprint", "choices", "check", "note", "-p", "days", prepare=added).code == 2


def test_a_blueprint_is_added_and_shown(terminal: Terminal, blueprint: str) -> None:
    said = terminal.run("blueprint", "add", blueprint)
    assert said.out.startswith("stored check@1.0.0  sha256:")

    async def added(desk: Desk) -> None:
        await desk.services.library.add(SOURCE, "check.yaml", added_by="ann", audit=())

    shown = terminal.run("blueprint", "show", "check", prepare=added)
    assert "days" in shown.out
    assert "default 3" in shown.out
    assert "sane  validation.assert" in shown.out
    assert terminal.run("blueprint", "show", "check", "--source", prepare=added).out == SOURCE
    said = terminal.run("blueprint", "show", "chek", prepare=added)
    assert (said.code, said.err) == (1, "error: no blueprint chek is stored here\n→ did you mean `check`?\n")
    said = terminal.run("blueprint", "show", "backup", prepare=added)
    assert (said.code, "pilotage blueprint list" in said.err) == (1, True)


@pytest.mark.parametrize(
    ("content", "words"), [(b"\xff\xfe", "UTF-8"), (b"x" * (11 << 20), "larger than"), (None, "No such file")]
)
def test_a_file_that_cannot_be_read_is_named(
    terminal: Terminal, tmp_path: Path, content: bytes | None, words: str
) -> None:
    file = tmp_path / "odd.yaml"
    if content is not None:
        file.write_bytes(content)
    said = terminal.run("blueprint", "validate", str(file))
    assert said.code == 2
    assert str(file) in said.err
    assert words in said.err


# --- plan and start -----------------------------------------------------------------------------------------------


def test_a_plan_goes_host_by_host_and_says_that_nothing_changed(terminal: Terminal, blueprint: str) -> None:
    said = terminal.run("plan", "-f", blueprint, "-p", "days=5", "-l", "role=db")
    assert said.code == 0
    lines = said.out.splitlines()
    assert lines[:2] == ["Plan for check@1.0.0 on 2 hosts, 2 step runs", "hosts db1, db2"]
    assert "     on: db1, db2" in lines
    assert "    ▸ sane: run uptime" in lines
    assert "  db2: db2 is offline" in lines
    assert lines[-1] == "Nothing has been changed yet."


def test_a_plan_is_kept_and_applied(terminal: Terminal, blueprint: str, tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    assert terminal.run("plan", "-f", blueprint, "-o", str(file), "--json").json["digest"] == DIGEST

    said = terminal.run("apply", str(file), "--no-wait", "--json", prepare=one_execution)
    assert said.json["plan_digest"] == DIGEST
    file.write_text("{}")
    said = terminal.run("apply", str(file))
    assert (said.code, "is no plan file" in said.err) == (2, True)


def test_a_plan_that_drifted_is_not_started(terminal: Terminal, blueprint: str) -> None:
    async def drifted(desk: Desk) -> None:
        desk.runs.refuse = PlanDrifted("the plan of check@1.0.0 no longer holds; what changed: targets")

    said = terminal.run("run", "start", "-f", blueprint, "--yes", prepare=drifted)
    assert said.code == 1
    assert "no longer holds" in said.err
    assert ("run.start", "refused") in [each[:2] for each in said.audit]


def test_nobody_to_ask_and_no_yes_starts_nothing(terminal: Terminal, blueprint: str) -> None:
    said = terminal.run("run", "start", "-f", blueprint)
    assert said.code == 2
    assert "--yes" in said.err
    assert [each[0] for each in said.audit] == ["plan.make"]


@pytest.mark.parametrize("arguments", [["run", "start"], ["plan", "check", "-f", "x.yaml"], ["run", "start", "--nope"]])
def test_a_command_line_without_sense_is_code_2(terminal: Terminal, arguments: list[str]) -> None:
    assert terminal.run(*arguments).code == 2


@pytest.mark.parametrize(
    ("state", "code"),
    [("completed", 0), ("failed", 1), ("waiting_approval", 3), ("paused", 3), ("needs_attention", 1)],
)
def test_the_code_tells_how_a_run_was_left(terminal: Terminal, blueprint: str, state: str, code: int) -> None:
    async def ends(desk: Desk) -> None:
        desk.runs.events = moved(state)
        desk.runs.status = state

    said = terminal.run("run", "start", "-f", blueprint, "--yes", prepare=ends)
    assert said.code == code, said.err
    assert f"execution is {state.replace('_', ' ')}" in said.out
    said = terminal.run("run", "start", "-f", blueprint, "--yes", "--json", prepare=ends)
    assert (said.code, said.json["state"]) == (code, state)


def test_exec_needs_hosts_and_shows_what_each_wrote(terminal: Terminal) -> None:
    async def ready(desk: Desk) -> None:
        desk.runs.events = moved("completed")
        desk.runs.status = "completed"
        desk.logs.lines = [FakeLine("1", "up 3 days"), FakeLine("2", "load\x1b[2J", host="db2", stream="stderr")]

    assert terminal.run("exec", "--", "uptime").code == 2
    said = terminal.run("exec", "-l", "role=db", "--yes", "--", "uptime", "--json", prepare=ready)
    assert said.out == "db1 | up 3 days\ndb2 ! load\\x1b[2J\n"
    assert said.code == 0
    assert ("run.start", "allowed") in [each[:2] for each in said.audit]


# --- executions ---------------------------------------------------------------------------------------------------


def test_watching_in_json_is_one_event_a_line(terminal: Terminal) -> None:
    said = terminal.run("run", "watch", EXECUTION, "--json", prepare=one_execution)
    assert [json.loads(line)["sequence"] for line in said.out.splitlines()] == [1, 2]


def test_watching_in_words_has_the_time_since_the_beginning(terminal: Terminal) -> None:
    said = terminal.run("run", "watch", EXECUTION, prepare=one_execution)
    assert said.out.splitlines()[0] == "00:01 execution is completed"


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "pause", EXECUTION],
        ["run", "resume", EXECUTION],
        ["run", "cancel", EXECUTION, "--yes", "--reason", "wrong host"],
        ["run", "retry", EXECUTION, "--failed-hosts", "--no-wait"],
        ["run", "resolve", EXECUTION, "sane", "--host", "db1", "--as", "retry"],
        ["run", "release", EXECUTION, "look", "--deny"],
    ],
    ids=lambda arguments: arguments[1],
)
def test_steering_says_where_the_execution_is(terminal: Terminal, arguments: list[str]) -> None:
    said = terminal.run(*arguments, prepare=one_execution)
    assert (said.code, said.out) == (0, f"{EXECUTION} is running\n")
    assert said.audit == [(f"run.{arguments[1]}", "allowed", EXECUTION)]
    assert terminal.run(*arguments, "--json", prepare=one_execution).json["id"] == EXECUTION

    async def refused(desk: Desk) -> None:
        await one_execution(desk)
        desk.runs.refuse = Refused(f"{EXECUTION} has ended")

    said = terminal.run(*arguments, prepare=refused)
    assert (said.code, "has ended" in said.err) == (1, True)


def test_cancelling_asks_first(terminal: Terminal) -> None:
    said = terminal.run("run", "cancel", EXECUTION, prepare=one_execution)
    assert (said.code, said.audit) == (2, [])


def test_logs_come_in_the_order_of_time_and_never_reach_the_terminal_raw(terminal: Terminal) -> None:
    async def written(desk: Desk) -> None:
        await desk.add_execution()
        desk.logs.lines = [
            FakeLine("1", "late\x1b]0;title\x07", at=NOW + 2_000_000, path="a"),
            FakeLine("2", "early", path="b", item="pgdata"),
        ]

    said = terminal.run("logs", EXECUTION, prepare=written)
    assert [line.split(" ", 1)[1] for line in said.out.splitlines()] == [
        "db1 b[pgdata] | early",
        "db1 a | late\\x1b]0;title\\x07",
    ]
    followed = terminal.run("logs", "-f", EXECUTION, "--json", prepare=written).out.splitlines()
    assert [json.loads(line)["cursor"] for line in followed] == ["1", "2"]


def test_replaying_shows_the_state_after_an_event(terminal: Terminal) -> None:
    said = terminal.run("replay", EXECUTION, "--at", "1", prepare=one_execution)
    assert said.out.startswith("After event 1, execution_begun, at 2026-09-21T14:13:20")
    said = terminal.run("replay", EXECUTION, "--at", "99", prepare=one_execution)
    assert (said.code, "from 1 to 1" in said.err) == (1, True)


# --- secrets ------------------------------------------------------------------------------------------------------


def test_who_may_use_a_secret_is_said_taken_back_and_shown(terminal: Terminal, tmp_path: Path) -> None:
    async def granted(desk: Desk) -> None:
        held = grant_of({"step_types": ["backup.*"], "blueprints": ["nightly"]}), grant_of({"hosts": "role=db"})
        await desk.store.secrets.put(SecretRecord("key", b"sealed", 1, "ann", held))

    file = tmp_path / "key"
    file.write_text("hunter2")
    said = terminal.run("secret", "set", "key", "--from-file", str(file), "-b", "nightly", "--step", "backup.*")
    assert said.out == "stored secret://key\n  1. step backup.*; blueprint nightly\n"
    assert terminal.run("secret", "grant", "key", prepare=granted).code == 2
    assert terminal.run("secret", "grant", "key", "--any", "-l", "role=db", prepare=granted).code == 2
    said = terminal.run("secret", "grant", "key", "-l", "role=web", prepare=granted)
    assert said.out.splitlines()[2] == "  3. hosts role=web"
    listed = terminal.run("secret", "list", prepare=granted).out
    assert "step backup.*; blueprint nightly; or hosts role=db" in " ".join(listed.split())
    assert terminal.run("secret", "ungrant", "key", "3", prepare=granted).code == 1
    assert terminal.run("secret", "ungrant", "key", "1", prepare=granted).out == "  1. hosts role=db\n"
    assert terminal.run("secret", "grant", "key", "-l", "role", prepare=granted).code == 1
    assert terminal.run("secret", "grant", "unheard_of", "--any").code == 1
    shown = terminal.run("--json", "secret", "grants", "key", prepare=granted).json
    assert [each["hosts"] for each in shown["grants"]] == ["", "role=db"]


def test_a_secret_comes_from_standard_input_or_a_file_and_is_never_shown(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    kept: dict[str, bytes] = {}

    async def note(desk: Desk) -> None:
        desk.secrets.values = kept

    class Stdin(io.TextIOWrapper):
        def isatty(self) -> bool:
            return False

    monkeypatch.setattr(sys, "stdin", Stdin(io.BytesIO(b"hunter2\n")))
    said = terminal.run("secret", "set", "restic/db1", prepare=note)
    assert said.code == 0
    assert said.out.startswith("stored secret://restic/db1\nNobody may use it yet. Say who")
    file = tmp_path / "secret"
    file.write_bytes(b"\x00\n")
    terminal.run("secret", "set", "key", "--from-file", str(file), prepare=note)
    assert kept == {"restic/db1": b"hunter2", "key": b"\x00\n"}
    file.write_bytes(b"")
    assert terminal.run("secret", "set", "key", "--from-file", str(file)).code == 1


def test_a_secret_on_the_command_line_is_a_usage_error(terminal: Terminal) -> None:
    assert terminal.run("secret", "set", "restic/db1", "hunter2").code == 2


# --- errors -------------------------------------------------------------------------------------------------------


def test_denied_is_code_5_and_names_the_permission(terminal: Terminal) -> None:
    said = terminal.run("host", "revoke", "db1", "--yes", prepare=one_host, caller=GUEST)
    assert said.code == 5
    assert "host.revoke" in said.err
    assert said.audit == [("host.revoke", "denied", "db1")]


@pytest.mark.parametrize("arguments", [["host", "list"], ["run", "watch", EXECUTION], ["coordinator", "status"]])
def test_no_coordinator_is_code_4_and_says_how_to_start_one(
    terminal: Terminal, tmp_path: Path, arguments: list[str]
) -> None:
    said = terminal.run_alone(*arguments, socket=tmp_path / "no.sock")
    assert (said.code, said.out) == (4, "")
    assert "pilotage up" in said.err
    error = json.loads(terminal.run_alone(*arguments, "--json", socket=tmp_path / "no.sock").err)
    assert error["kind"] == "infrastructure"


def test_the_doctor_fails_when_a_check_does_and_works_without_a_coordinator(terminal: Terminal, tmp_path: Path) -> None:
    async def ill(desk: Desk) -> None:
        desk.doctor.findings = [FakeFinding("disk", "failure", "full", "free some space")]

    said = terminal.run("doctor", prepare=ill)
    assert said.code == 1
    assert "disk: free some space" in said.err
    assert terminal.run("doctor", "--json").json["healthy"]
    alone = terminal.run_alone("doctor", "--json", socket=tmp_path / "no.sock")
    assert (alone.code, alone.json["healthy"]) == (4, False)


def test_the_coordinator_shows_itself_and_stops(terminal: Terminal) -> None:
    assert "localhost:7443" in terminal.run("coordinator", "status").out
    assert terminal.run("coordinator", "stop").code == 2
    said = terminal.run("coordinator", "stop", "--yes")
    assert said.audit == [("coordinator.stop", "allowed", "coordinator")]


@pytest.mark.parametrize(("word", "near"), [("hots", "host"), ("blueprnt", "blueprint"), ("lgos", "logs")])
def test_a_wrong_word_is_answered_with_the_right_one(terminal: Terminal, word: str, near: str) -> None:
    said = terminal.run(word)
    assert (said.code, f"Did you mean {near!r}?" in said.err) == (2, True)


def test_help_names_every_command(terminal: Terminal) -> None:
    said: Said = terminal.run("--help")
    assert "Exit codes: 0 ok" in said.out
    assert terminal.run("version", "--json").json["version"]


# --- choosing -----------------------------------------------------------------------------------------------------


async def three_executions(desk: Desk) -> None:
    for number in (1, 2, 3):
        await desk.add_execution(f"exe_{number:032x}")


def test_last_is_the_newest_execution(terminal: Terminal) -> None:
    said = terminal.run("run", "show", "last", "--json", prepare=three_executions)
    assert said.json["id"] == f"exe_{3:032x}"
    said = terminal.run("logs", "last")
    assert (said.code, "nothing has run yet" in said.err) == (1, True)


def test_a_list_says_how_to_go_on(terminal: Terminal) -> None:
    said = terminal.run("run", "list", "-n", "2", prepare=three_executions)
    assert len(said.out.splitlines()) == 3
    cursor = said.err.split()[-1]
    said = terminal.run("run", "list", "-n", "2", "--cursor", cursor, "--json", prepare=three_executions)
    assert ([each["id"] for each in said.json], said.err) == ([f"exe_{1:032x}"], "")
    said = terminal.run("run", "list", "-n", "2", "--json", prepare=three_executions)
    assert (len(said.json), json.loads(said.err)) == (2, {"next": cursor})


@pytest.mark.parametrize("when", ["2h", "90m", "7d", "2026-01-01", "2026-01-01T00:00:00Z"])
def test_a_list_goes_back_to_any_time(terminal: Terminal, when: str) -> None:
    said = terminal.run("run", "list", "--since", when, prepare=three_executions)
    assert said.code == 0
    assert ("exe_" in said.out) is when.startswith("2026")


@pytest.mark.parametrize("when", ["yesterday", "2y", "", "-2h", "99999999999999d"])
def test_what_is_no_time_is_a_usage_error_with_examples(terminal: Terminal, when: str) -> None:
    said = terminal.run("run", "list", f"--since={when}")
    assert (said.code, "2h, 7d" in said.err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "show", "exe_nope"), "'exe_nope' is no execution"),
        (("run", "show", EXECUTION), "`pilotage run list` shows"),
        (("run", "list", "--state", "faild"), "'faild' is no state of an execution"),
        (("host", "set", "db1", "--label", "bad name=1"), "a label's or variable's name"),
        (("blueprint", "show", "chekc"), "no blueprint chekc"),
        (("host", "show", "-x"), "No such option"),
    ],
)
def test_a_mistake_is_told_once_and_in_words(terminal: Terminal, arguments: tuple[str, ...], words: str) -> None:
    said = terminal.run(*arguments)
    assert said.code in (1, 2)
    assert said.err.count(words) == 1
    assert "String should" not in said.err


def test_names_are_completed_from_what_the_coordinator_knows(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PILOTAGE_SOCKET", str(tmp_path / "no.sock"))
    for offer in (
        completion.executions,
        completion.hosts,
        completion.blueprints,
        completion.secrets,
        completion.principals,
        completion.roles,
        completion.tokens,
    ):
        assert offer(typer.Context(typer.main.get_command(app)), "") == []

    async def asked(options: GlobalOptions, ask: completion.Ask) -> Sequence[tuple[str, str]]:
        assert options == GlobalOptions()
        return [("db1", "online"), ("web1", "offline")]

    monkeypatch.setattr(completion, "_ask", asked)
    assert completion.hosts(typer.Context(typer.main.get_command(app)), "d") == [("db1", "online")]
    assert completion.states("fa") == ["failed"]
    assert set(completion.states("")) == {each.value for each in ExecutionStatus}


def test_a_plan_is_shown_again_by_its_digest(terminal: Terminal) -> None:
    said = terminal.run("--json", "plan", DIGEST, prepare=one_execution)
    assert (said.code, said.json["digest"], said.audit) == (0, DIGEST, [])
    assert DIGEST in terminal.run("plan", DIGEST, prepare=one_execution).out
    refused = terminal.run("plan", DIGEST, "-p", "days=3")
    assert refused.code == 2
    assert "stands alone" in refused.err


NO_SENSE = [
    ("run", "list", "--state", "bogus"),
    ("run", "list", "--limit", "0"),
    ("run", "show", "nosuch"),
    ("run", "lst"),
    ("plan", "check", "-p", "days"),
    ("plan", "-f", "/nonexistent/check.yaml"),
    ("plan",),
    ("apply", "/nonexistent/check.plan"),
    ("host", "list", "--wrong"),
]


@pytest.mark.parametrize("words", NO_SENSE, ids=" ".join)
def test_a_command_line_that_makes_no_sense_ends_with_2_and_is_told_in_the_form_that_was_asked_for(
    terminal: Terminal, words: tuple[str, ...]
) -> None:
    said = terminal.run(*words)
    assert (said.code, said.out, said.err != "") == (2, "", True)
    said = terminal.run("--json", *words)
    told = json.loads(said.err)
    assert (said.code, said.out, told["kind"], told["problems"]) == (2, "", "usage", [])
    assert told["error"]


def test_a_file_in_the_wrong_place_is_told_from_a_name_and_from_a_plan(terminal: Terminal, blueprint: str) -> None:
    said = terminal.run("plan", blueprint)
    assert (said.code, f"give it with -f {blueprint}" in said.err) == (2, True)
    said = terminal.run("apply", blueprint)
    assert (said.code, "is no plan file" in said.err, f"run start -f {blueprint}" in said.err) == (2, True, True)


def test_no_value_is_asked_for_under_a_name_that_no_secret_can_have(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    said = terminal.run("secret", "set", "Bad Name!")
    assert (said.code, "begins with a letter or digit" in said.err) == (2, True)


@pytest.mark.parametrize("words", [("nosuchstep",), ("--host", "nohost"), ("-f", "nosuchstep")], ids=" ".join)
def test_logs_of_what_is_not_there_are_refused(terminal: Terminal, words: tuple[str, ...]) -> None:
    said = terminal.run("logs", EXECUTION, *words, prepare=one_execution)
    assert (said.code, said.out) == (1, "")
    assert "has no step `nosuchstep`" in said.err or "nothing to do on `nohost`" in said.err
