"""Commands and scripts: shells only when asked for, other users, guards."""

import os
from typing import Any

import pytest
from pilotage_plugin_api import Action, Refused, StepFailed, TargetFailed
from pilotage_plugin_api.testing import Harness
from pilotage_plugins.command.run import CommandRun
from pilotage_plugins.script.run import ScriptRun

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become another user")
HOSTILE = "$(touch here); `id` ' \" \\ \n*"


def test_no_shell_reads_an_argument_list(harness: Harness) -> None:
    outputs = harness.run(CommandRun(), {"argv": ["printf", "%s", HOSTILE]})
    assert outputs["stdout"] == HOSTILE


def test_a_shell_that_was_asked_for_reads_the_first_item_alone(harness: Harness) -> None:
    params = {"argv": ['printf %s "$1" | tr a-z A-Z', HOSTILE], "shell": True}
    assert harness.run(CommandRun(), params)["stdout"] == HOSTILE.upper()
    assert harness.preview(CommandRun(), params).changes[0].subject.startswith("/bin/sh -c")


@pytest.mark.parametrize("kind", [CommandRun(), ScriptRun()])
def test_guards_hold_a_program_back(harness: Harness, kind: Any) -> None:
    made = harness.sandbox / "made it"
    what = {"argv": ["touch", str(made)]} if kind.name == "command.run" else {"script": f"touch '{made}'; echo done"}
    params = {**what, "creates": str(made)}
    assert harness.preview(kind, params).changes[0].action is Action.RUN
    assert harness.run(kind, params)["ran"]
    again = harness.run(kind, params)
    assert (again["ran"], again["exit_code"]) == (False, None)
    assert harness.preview(kind, params).changes[0].action is Action.NONE
    removing = {**params, "creates": None, "removes": str(made)}
    with pytest.raises(StepFailed, match="did not remove"):
        harness.run(kind, removing)
    made.unlink()
    assert not harness.run(kind, removing)["ran"]


def test_a_command_that_does_not_create_what_it_promised_has_failed(harness: Harness) -> None:
    with pytest.raises(StepFailed, match="did not create '/nonexistent/x'"):
        harness.run(CommandRun(), {"argv": ["true"], "creates": "/nonexistent/x"})


@as_root
@pytest.mark.parametrize("kind", [CommandRun(), ScriptRun()])
def test_another_user_runs_it_with_his_groups_and_reads_the_secret(harness: Harness, kind: Any) -> None:
    harness.secrets.contents["t"] = b"canary-8812"
    text = 'id -un; id -Gn; echo "$HOME $USER"; wc -c < "$TOKEN"'
    what = {"argv": ["sh", "-c", text]} if kind.name == "command.run" else {"script": text}
    outputs = harness.run(kind, {**what, "user": "nobody", "secret_files": {"TOKEN": "secret://t"}, "parse": "lines"})
    assert outputs["parsed"] == ["nobody", "nogroup", "/nonexistent nobody", "11"]


@as_root
def test_another_user_is_really_another(harness: Harness) -> None:
    private = harness.sandbox / "private"
    private.write_text("x")
    private.chmod(0o600)
    with pytest.raises(StepFailed, match="ermission denied"):
        harness.run(CommandRun(), {"argv": ["cat", str(private)], "user": "nobody"})
    with pytest.raises(TargetFailed, match="cannot run no-such-program as nobody"):
        harness.run(CommandRun(), {"argv": ["no-such-program"], "user": "nobody"})


def test_a_user_that_is_not_there_is_told_in_the_plan(harness: Harness) -> None:
    with pytest.raises(TargetFailed, match="no user 'nosuch'"):
        harness.preview(CommandRun(), {"argv": ["true"], "user": "nosuch"})


def test_a_script_never_stands_in_a_command_line_or_on_a_disk(harness: Harness) -> None:
    params = {"script": 'tr "\\0" " " < /proc/$$/cmdline; ls -A; printf %s "$1"', "args": [HOSTILE]}
    said = harness.run(ScriptRun(), params)["stdout"]
    assert "cmdline" not in said
    assert said.startswith("/bin/sh -eu /proc/self/fd/")
    assert said.endswith(HOSTILE)


def test_a_script_stops_at_the_first_failure_and_is_quoted(harness: Harness) -> None:
    with pytest.raises(StepFailed, match=r"the script for /bin/sh ended with exit code 1.*last words: oh"):
        harness.run(ScriptRun(), {"script": "echo oh >&2\nfalse\necho not here >&2"})
    python = {"script": "import sys; print(sys.argv[1:])", "interpreter": ["python3", "-I"], "args": ["a b"]}
    assert harness.run(ScriptRun(), python)["stdout"] == "['a b']\n"


def test_an_interpreter_that_is_missing_is_the_hosts_fault(harness: Harness) -> None:
    with pytest.raises(TargetFailed, match="no-such-lisp"):
        harness.run(ScriptRun(), {"script": "x", "interpreter": ["no-such-lisp"]})
    with pytest.raises(Refused, match="script"):
        harness.run(ScriptRun(), {"script": "x" * 200_000})


def test_a_variable_may_hold_a_secret_and_the_program_sees_its_value(harness: Harness) -> None:
    harness.secrets.contents["s/x"] = b"hunter2-of-the-test"
    params = {"argv": ['test "$S" = hunter2-of-the-test && test "$P" = plain'], "shell": True}
    outputs = harness.run(CommandRun(), {**params, "env": {"S": "secret://s/x", "P": "plain"}})
    assert outputs["exit_code"] == 0


def test_a_secret_that_no_variable_can_hold_is_refused(harness: Harness) -> None:
    harness.secrets.contents["s/x"] = b"a\0b"
    with pytest.raises(StepFailed, match="secret_files"):
        harness.run(CommandRun(), {"argv": ["true"], "env": {"S": "secret://s/x"}})


def test_a_script_may_stand_in_a_file_of_the_blueprint(harness: Harness) -> None:
    params = {"file": {"name": "greet.sh", "text": 'echo "hello $1"\n'}, "args": ["you"]}
    outputs = harness.run(ScriptRun(), params)
    assert outputs["stdout"] == "hello you\n"
    assert outputs["sha256"] == harness.run(ScriptRun(), {"script": 'echo "hello $1"\n', "args": ["you"]})["sha256"]
    assert "script greet.sh of 1 lines" in harness.preview(ScriptRun(), params).changes[0].subject
    with pytest.raises(StepFailed, match=r"the script greet\.sh ended with exit code 3"):
        harness.run(ScriptRun(), {"file": {"name": "greet.sh", "text": "exit 3"}})


@pytest.mark.parametrize("params", [{}, {"script": "a", "file": {"name": "b", "text": "b"}}])
def test_a_script_comes_from_one_place(harness: Harness, params: dict[str, Any]) -> None:
    with pytest.raises(Refused, match="script, file"):
        harness.run(ScriptRun(), params)


@pytest.mark.parametrize("folder", ["gone", "loop", "file"])
def test_a_folder_that_is_none_is_named(harness: Harness, folder: str) -> None:
    (harness.sandbox / "loop").symlink_to("loop")
    (harness.sandbox / "file").touch()
    cwd = str(harness.sandbox / folder)
    with pytest.raises(TargetFailed, match=f"cannot run true: there is no folder '{cwd}'"):
        harness.run(CommandRun(), {"argv": ["true"], "cwd": cwd})
