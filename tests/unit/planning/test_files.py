"""Files of a blueprint: named by steps, looked up when it is planned, part of what is approved, never rendered."""

from dataclasses import replace

import pytest
from pilotage_coordinator.domain.blueprint_files import LARGEST
from pilotage_coordinator.domain.plan import Plan
from pilotage_coordinator.domain.planning.codec import from_json, to_json
from pilotage_coordinator.domain.planning.planner import make_plan
from pilotage_coordinator.domain.planning.previews import preview_questions
from pilotage_coordinator.domain.planning.request import PlanRequest, Questions
from pilotage_plugins.file.write import FileWrite
from pilotage_plugins.script.run import ScriptRun

from tests.unit.planning.fleet import STEP_TYPES, host, plan, problems, step, step_type, stored, world

SCRIPT = replace(
    STEP_TYPES["command.run"], name="script.run", params_schema=ScriptRun.Params.model_json_schema(), digest="s"
)
WRITE = replace(STEP_TYPES["file.write"], params_schema=FileWrite.Params.model_json_schema())
TYPES = {**STEP_TYPES, "script.run": SCRIPT, "file.write": WRITE, "old.type": step_type("old.type")}
HOSTS = (host("db1", step_types=TYPES), host("db2", step_types=TYPES))
TEXT = """
targets: {select: "true"}
files:
  migrate.sh: "echo ${{ nobody.knows }} {{ parameters.x }}"
steps:
  - {id: a, type: script.run, parameters: {file: migrate.sh, args: ["${{ host.name }}"]}}
  - {id: b, dependencies: [a], type: file.write, parameters: {path: /a, file: migrate.sh}}
"""
CONTENT = "echo ${{ nobody.knows }} {{ parameters.x }}"
GIVEN = {"name": "migrate.sh", "text": CONTENT}


def test_a_plan_holds_a_file_once_and_steps_its_name() -> None:
    planned = plan(TEXT, *HOSTS)
    (key,) = planned.plan.files
    assert planned.plan.files[key] == CONTENT
    for path in ("a", "b"):
        assert step(planned, path).files == {"file": key}
        assert step(planned, path).parameters["file"] == "migrate.sh"


def test_another_text_is_another_plan_and_a_stored_plan_is_read_back() -> None:
    made = plan(TEXT, *HOSTS).plan
    assert plan(TEXT.replace("echo", "true"), *HOSTS).plan.digest != made.digest
    assert from_json(to_json(made)) == made
    key = next(iter(made.files))
    forged = to_json(made)
    forged["files"] = {key: "rm -rf /"}
    with pytest.raises(Exception, match="digest"):
        from_json(forged)


def test_hosts_that_preview_get_the_text_as_it_is() -> None:
    questions = list(preview_questions(plan(TEXT, *HOSTS).plan))
    assert [(each.host, each.parameters["file"]) for each in questions] == [
        ("db1", GIVEN), ("db2", GIVEN), ("db1", GIVEN), ("db2", GIVEN),
    ]  # fmt: skip


def test_hosts_that_are_asked_for_the_plan_get_it_too() -> None:
    text = TEXT.replace("type: script.run,", "type: script.run, effect: read, at_plan: true,")
    outcome = make_plan(PlanRequest(stored(text)), world(HOSTS))
    assert isinstance(outcome, Questions)
    assert [each.parameters for each in outcome.questions] == [
        {"file": GIVEN, "args": ["db1"]},
        {"file": GIVEN, "args": ["db2"]},
    ]


@pytest.mark.parametrize(
    ("old", "new", "message", "fix"),
    [
        ("file: migrate.sh, args", "file: migrate.hs, args", "no file `migrate.hs`", "did you mean `migrate.sh`?"),
        ("file: migrate.sh, args", "file: '${{ host.name }}', args", "never an expression", "with `when`"),
        ('"echo ', '"secret://x ', "not resolved inside of files", "secret_files"),
        ('"echo ', '"' + "ü" * (LARGEST // 2), "at most 262144", "split it"),
    ],
)
def test_a_wrong_use_is_refused_at_its_place(old: str, new: str, message: str, fix: str) -> None:
    first = problems(TEXT.replace(old, new), *HOSTS)[0]
    assert message in first.message
    assert fix in first.fix
    assert (first.path, first.at.file, first.at.line) == ("a", "nightly.yaml", 9)


def test_neither_and_both_are_refused_by_name() -> None:
    (neither,) = problems(TEXT.replace("file: migrate.sh, args", "args"), HOSTS[0])
    assert "one of `script`, `file` is needed" in neither.message
    (both,) = problems(TEXT.replace("file: migrate.sh, args", "script: a, file: migrate.sh, args"), HOSTS[0])
    assert "give only one of `script`, `file`" in both.message


def test_a_file_that_no_step_uses_is_told() -> None:
    notes = plan(TEXT.replace("files:", "files:\n  spare: x"), *HOSTS).notes
    assert [note.message for note in notes] == ["no step of nightly uses the file `spare`"]
    assert plan(TEXT, *HOSTS).notes == ()


def test_a_type_that_takes_no_files_is_given_the_text_that_stands_there() -> None:
    made: Plan = plan(TEXT.replace("script.run", "old.type"), *HOSTS).plan
    assert made.steps[0].files == {}


def test_a_called_blueprint_has_files_of_its_own() -> None:
    caller = stored(
        """
        pilotage: 1
        workflows:
          outer:
            targets: {select: "true"}
            files: {migrate.sh: the caller's}
            steps:
              - {id: call, blueprint: nightly@1}
              - {id: own, type: script.run, parameters: {file: migrate.sh}}
        """
    )
    called = stored(TEXT.replace("targets:", 'version: "1.0.0"\ntargets:'))
    outcome = make_plan(PlanRequest(caller), world(HOSTS, called))
    made = outcome.plan  # type: ignore[union-attr]
    texts = {each.path: made.files[each.files["file"]] for each in (*made.steps[0].steps, made.steps[1])}
    assert texts == {"call/a": CONTENT, "call/b": CONTENT, "own": "the caller's"}
