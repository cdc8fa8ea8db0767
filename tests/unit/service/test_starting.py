"""Plans and starts: what is asked is what is planned, and one key starts one execution."""

import asyncio
from dataclasses import replace

import pytest
from pilotage_coordinator.domain.blueprint.loader import load_blueprint
from pilotage_coordinator.domain.blueprint.model import Blueprint
from pilotage_coordinator.domain.blueprint.position import Position
from pilotage_coordinator.domain.plan import FailureKind
from pilotage_coordinator.domain.planning.errors import PlanProblem, PlanRefused
from pilotage_coordinator.service import blueprints, executions, plans
from pilotage_coordinator.service.command import command_blueprint
from pilotage_coordinator.service.errors import Conflict, Invalid, NotFound
from pilotage_coordinator.service.executions import StartRun
from pilotage_coordinator.service.parameter_texts import parameters_of_texts
from pilotage_coordinator.service.plans import MakePlan, WhatToRun
from pilotage_coordinator.store.records import ExecutionFilter
from pilotage_proto.canonical import digest
from pydantic import ValidationError

from tests.unit.service.desk import DIGEST, NOW, OWNER, SOURCE, Desk


async def _count(desk: Desk) -> int:
    return len((await desk.store.executions.find(ExecutionFilter())).rows)


async def test_the_same_key_answers_the_first_execution(desk: Desk) -> None:
    request = StartRun(what=WhatToRun(source=SOURCE), idempotency_key="k1")
    first = await executions.start_run(desk.services, OWNER, request)
    again = await executions.start_run(desk.services, OWNER, request)
    assert (first.repeated, again.repeated) == (False, True)
    assert first.execution == again.execution
    assert await _count(desk) == 1


async def test_the_same_key_at_the_same_time_starts_one(desk: Desk) -> None:
    request = StartRun(what=WhatToRun(source=SOURCE), idempotency_key="k1")
    both = await asyncio.gather(*(executions.start_run(desk.services, OWNER, request) for _ in range(5)))
    assert len({each.execution for each in both}) == 1
    assert await _count(desk) == 1


async def test_the_same_key_for_another_request_is_refused(desk: Desk) -> None:
    await executions.start_run(desk.services, OWNER, StartRun(what=WhatToRun(source=SOURCE), idempotency_key="k1"))
    other = StartRun(what=WhatToRun(source=SOURCE, limit_to="role=db"), idempotency_key="k1")
    with pytest.raises(Conflict, match="another request"):
        await executions.start_run(desk.services, OWNER, other)
    assert await _count(desk) == 1


async def test_what_is_kept_of_a_request_does_not_tell_its_values(desk: Desk) -> None:
    """A hash without a key could be guessed from short passwords, and would show which requests hold the same."""
    kept = set()
    for key in ("k1", "k2"):
        request = StartRun(what=WhatToRun(source=SOURCE, parameters={"password": "1234"}), idempotency_key=key)
        await executions.start_run(desk.services, OWNER, request)
        answer = await desk.store.answers.get(OWNER.principal, key, NOW)
        assert answer is not None
        kept.add(answer.request_digest)
        assert answer.request_digest != digest(request.model_dump(mode="json", exclude={"idempotency_key"}))
        assert answer.request_digest.startswith("hmac-sha256:")
    assert len(kept) == 2
    other = replace(desk.services, request_key=b"o" * 32)
    request = StartRun(what=WhatToRun(source=SOURCE, parameters={"password": "1234"}), idempotency_key="k1")
    with pytest.raises(Conflict, match="another request"):
        await executions.start_run(other, OWNER, request)


async def test_without_a_key_each_start_is_an_execution(desk: Desk) -> None:
    for _ in range(2):
        await executions.start_run(desk.services, OWNER, StartRun(what=WhatToRun(source=SOURCE)))
    assert await _count(desk) == 2


async def test_starting_a_digest_needs_that_plan(desk: Desk) -> None:
    with pytest.raises(NotFound):
        await executions.start_run(desk.services, OWNER, StartRun(plan_digest=DIGEST))


async def test_every_reason_against_a_plan_is_answered(desk: Desk) -> None:
    desk.plans.refuse = PlanRefused(
        [
            PlanProblem(FailureKind.TARGET, "host db9 is unknown", "did you mean db1?", path="sane"),
            PlanProblem(FailureKind.PARAMETER, "days is missing"),
        ]
    )
    with pytest.raises(Invalid, match="2 reasons") as refusal:
        await plans.make_plan(desk.services, OWNER, MakePlan(source=SOURCE))
    assert [each.message for each in refusal.value.problems] == ["host db9 is unknown", "days is missing"]
    assert refusal.value.kind is FailureKind.TARGET


async def test_a_broken_blueprint_names_file_line_and_column(desk: Desk) -> None:
    broken = SOURCE.replace("steps:", "stepz:")
    with pytest.raises(Invalid) as refusal:
        await plans.make_plan(desk.services, OWNER, MakePlan(source=broken, file="my.yaml"))
    fault = next(each for each in refusal.value.problems if "stepz" in each.message + each.path)
    assert (fault.file, fault.line) == ("my.yaml", 11)
    assert fault.column > 0


@pytest.mark.parametrize("fields", [{}, {"blueprint": "a", "source": "b"}, {"command": []}])
def test_a_plan_is_of_exactly_one_thing(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        MakePlan(**fields)


async def test_a_command_needs_hosts(desk: Desk) -> None:
    with pytest.raises(Invalid, match="needs hosts"):
        await plans.make_plan(desk.services, OWNER, MakePlan(command=["uptime"]))


async def test_what_is_wrong_with_a_command_is_told_without_lines_that_nobody_wrote(desk: Desk) -> None:
    problem = PlanProblem(FailureKind.TARGET, "no host is left", "see -l", path="run", at=Position("exec", 7, 3))
    desk.plans.refuse = PlanRefused([problem])
    for request, place in (
        (MakePlan(source=SOURCE), ("exec", 7, 3, "run")),
        (MakePlan(command=["uptime"], limit_to="role=db"), ("", 0, 0, "")),
    ):
        with pytest.raises(Invalid) as refusal:
            await plans.make_plan(desk.services, OWNER, request)
        (told,) = refusal.value.problems
        assert (told.file, told.line, told.column, told.path) == place
        assert (told.message, told.fix) == ("no host is left", "see -l")


@pytest.mark.parametrize(
    "argv",
    [
        ["echo", "${{ secrets.all }}", "$${{ x }}", "{{ parameters.argv }}"],
        ["sh", "-c", 'echo "a: b" # \n- x', "'", "\\", "ünï", "---"],
        ["true", ""],
        ["x" * 500],
    ],
)
def test_no_argument_of_a_command_is_read_as_anything_else(argv: list[str]) -> None:
    blueprint = load_blueprint(*command_blueprint(argv))
    assert blueprint.parameters["argv"].default in (argv, tuple(argv))
    (step,) = blueprint.steps
    assert step.type == "command.run"
    assert step.parameters == {"argv": "${{ parameters.argv }}"}


async def test_a_stored_blueprint_is_found_by_version_and_major(desk: Desk) -> None:
    await blueprints.add_blueprint(desk.services, OWNER, blueprints.BlueprintFile(source=SOURCE))
    for reference in ("check", "check@1", "check@1.0.0"):
        shown = await blueprints.show_blueprint(desk.services, OWNER, blueprints.ShowBlueprint(blueprint=reference))
        assert shown.version == "1.0.0"
        assert [each.id for each in shown.steps] == ["sane"]
    with pytest.raises(NotFound, match="no version 2") as refusal:
        await blueprints.show_blueprint(desk.services, OWNER, blueprints.ShowBlueprint(blueprint="check@2"))
    assert "1.0.0" in refusal.value.fix


async def test_a_stored_blueprint_is_shown_whatever_hosts_offer_now(desk: Desk) -> None:
    source = SOURCE.replace("validation.assert", "acme.greet").replace("that:", "words:")
    await blueprints.add_blueprint(desk.services, OWNER, blueprints.BlueprintFile(source=source))
    inventory = desk.services.library.inventory  # type: ignore[attr-defined]
    await desk.add_host("db1", ({"name": "command.run"},))
    await inventory.reload("db1")
    assert set(inventory.step_types()) == {"command.run"}
    shown = await blueprints.show_blueprint(desk.services, OWNER, blueprints.ShowBlueprint(blueprint="check"))
    assert [each.type for each in shown.steps] == ["acme.greet"]


async def test_a_stored_version_never_changes(desk: Desk) -> None:
    file = blueprints.BlueprintFile(source=SOURCE)
    await blueprints.add_blueprint(desk.services, OWNER, file)
    await blueprints.add_blueprint(desk.services, OWNER, file)
    changed = blueprints.BlueprintFile(source=SOURCE.replace("> 0", "> 1"))
    with pytest.raises(Conflict, match=r"1\.0\.0"):
        await blueprints.add_blueprint(desk.services, OWNER, changed)


def _check() -> Blueprint:
    return load_blueprint(SOURCE, "check.yaml")


def test_typed_texts_follow_their_parameters_types() -> None:
    texts = {"days": "30", "note": "1.10", "tags": "a, b", "other": "x"}
    assert parameters_of_texts(_check(), texts) == {"days": 30, "note": "1.10", "tags": ["a", "b"], "other": "x"}


@pytest.mark.parametrize(("name", "text"), [("days", "many"), ("days", "NaN"), ("tags", "[1,")])
def test_a_text_that_is_none_of_its_type_is_refused_by_name(name: str, text: str) -> None:
    with pytest.raises(Invalid) as refusal:
        parameters_of_texts(_check(), {name: text})
    (fault,) = refusal.value.problems
    assert fault.path == name
    assert fault.fix
