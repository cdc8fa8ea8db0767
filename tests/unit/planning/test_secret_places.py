"""Secrets stand only where the step type resolves them: elsewhere their names would be used as if they were values."""

from dataclasses import replace

import pytest
from pilotage_coordinator.domain.plan import Json
from pilotage_coordinator.domain.secret_places import misplaced, resolved_names
from pilotage_plugins.backup.create import BackupCreate
from pilotage_plugins.command.run import CommandRun
from pilotage_plugins.file.write import FileWrite
from pilotage_plugins.wait.until import WaitUntil

from tests.unit.planning.fleet import STEP_TYPES, host, problems

COMMAND = CommandRun.Params.model_json_schema()
TYPES = {
    **STEP_TYPES,
    "command.run": replace(STEP_TYPES["command.run"], params_schema=COMMAND),
    "file.write": replace(STEP_TYPES["file.write"], params_schema=FileWrite.Params.model_json_schema()),
}
HOSTS = (host("db1", step_types=TYPES),)


def test_places_that_the_schema_marks_resolve_secrets() -> None:
    given: dict[str, Json] = {"argv": ["a"], "env": {"S": "secret://one"}, "secret_files": {"F": "secret://two"}}
    assert misplaced(given, COMMAND) == ()
    assert resolved_names(given, COMMAND) == {"one", "two"}
    create = BackupCreate.Params.model_json_schema()
    assert resolved_names({"repository": "secret://r", "password": "secret://p"}, create) == {"r", "p"}


def test_a_step_that_hands_parameters_to_another_lets_secrets_through() -> None:
    check: Json = {"type": "http.check", "parameters": {"secret_headers": {"X": "secret://one"}}}
    given: dict[str, Json] = {"check": check}
    until = WaitUntil.Params.model_json_schema()
    assert misplaced(given, until) == ()
    assert resolved_names(given, until) == {"one"}


@pytest.mark.parametrize("text", ["secret://one", "--password=secret://one"])
def test_other_places_do_not(text: str) -> None:
    assert misplaced({"argv": ["a", text]}, COMMAND) == ("parameters.argv[1]",)
    assert resolved_names({"argv": ["a", text]}, COMMAND) == frozenset()


def test_a_reference_inside_a_longer_text_is_misplaced_everywhere() -> None:
    assert misplaced({"argv": ["a"], "env": {"S": "x=secret://one"}}, COMMAND) == ("parameters.env.S",)


@pytest.mark.parametrize(
    ("step", "place"),
    [
        ("{type: command.run, parameters: {argv: [a, 'secret://s/x']}}", "parameters.argv[1]"),
        ("{type: file.write, parameters: {path: /a, content: 'p=secret://s/x'}}", "parameters.content"),
        ("{type: file.write, parameters: {path: /a, content: 'p=${{ parameters.tok }}'}}", "parameters.content"),
    ],
)
def test_a_plan_refuses_what_would_be_used_as_text(step: str, place: str) -> None:
    [problem] = problems(
        "targets: {hosts: [db1]}\nparameters: {tok: {type: string, sensitive: true, default: hunter2}}\n"
        f"steps:\n  - {{id: a, {step[1:]}\n",
        *HOSTS,
    )
    assert problem.path == "a"
    assert problem.message.startswith(place)
    assert "hunter2" not in str(problem)
