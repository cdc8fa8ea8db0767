"""The loader: keys, kinds, defaults, and errors that say where and how to fix."""
# ruff: noqa: E501 - a case is one line of YAML

import pytest
from pilotage_coordinator.domain.blueprint.errors import BlueprintError
from pilotage_coordinator.domain.blueprint.expand import content_digest, expand
from pilotage_coordinator.domain.blueprint.features import BUILT
from pilotage_coordinator.domain.blueprint.loader import load_blueprint, load_blueprints
from pilotage_coordinator.domain.blueprint.model import BlueprintCall, OnUnknown, RetryPolicy, Undo
from pilotage_coordinator.domain.plan import Effect, FailureKind, OnFailure, OnOffline, Place, RolloutFailure, StepKind
from pilotage_coordinator.domain.share import Share
from pilotage_coordinator.domain.values import HOUR, MINUTE, SECOND, Amount

from tests.unit.blueprint.writing import load, only_problem, problems, rich, with_steps


def test_the_fields_of_a_leaf() -> None:
    step = load(
        with_steps(
            "{id: a, name: A, description: d, type: command.run, parameters: {argv: [ls]}, timeout: 1h30m, deadline: 2d, "
            "retry_policy: {max_attempts: 3, initial_delay: 5s, multiplier: 3, max_delay: 1m, jitter: true, "
            "on: [infrastructure]}, on_offline: skip, offline_deadline: 5m, on_failure: continue, effect: read, "
            "on_unknown: fail, undo: none, sensitive_outputs: [out], run_once: true, x-note: {any: thing}}"
        )
    ).steps[0]
    assert (step.kind, step.type, step.parameters) == (StepKind.LEAF, "command.run", {"argv": ["ls"]})
    assert (step.timeout, step.deadline, step.offline_deadline) == (90 * MINUTE, 48 * HOUR, 5 * MINUTE)
    assert step.retry_policy == RetryPolicy(3, 5 * SECOND, 3.0, MINUTE, 0.2, (FailureKind.INFRASTRUCTURE,))
    assert (step.on_offline, step.on_failure, step.effect) == (OnOffline.SKIP, OnFailure.CONTINUE, Effect.READ)
    assert (step.on_unknown, step.undo, step.sensitive_outputs) == (OnUnknown.FAIL, Undo.NONE, ("out",))
    assert step.run_once


def test_a_group_and_a_call() -> None:
    blueprint = load(
        with_steps(
            "{id: g, rollout: {strategy: canary, on_failure: revert_batch}, steps: [{id: a, type: dummy.sleep}], "
            "finally: [{id: f, type: dummy.sleep}]}",
            "{id: c, blueprint: other@3, parameters: {hosts: db1}, dependencies: [g]}",
        )
    )
    group, call = blueprint.steps
    assert group.kind is StepKind.GROUP
    assert [each.id for each in (*group.steps, *group.finally_)] == ["a", "f"]
    assert group.rollout is not None
    assert [each.size for each in group.rollout.batches] == [Amount(Share(1)), Amount(Share(100, percent=True))]
    assert group.rollout.max_failures == Amount(Share(0))
    assert group.rollout.on_failure is RolloutFailure.REVERT_BATCH
    assert (call.kind, call.call) == (StepKind.CALL, BlueprintCall("other", 3))


def test_inheritance_the_nearest_word_wins() -> None:
    blueprint = load(
        rich(
            "    defaults: {timeout: 30m, on_offline: skip}",
            "      - {id: a, type: dummy.sleep, timeout: 5m}\n      - {id: b, type: dummy.sleep}",
        )
    )
    own, inherited = (step.settled(blueprint.defaults) for step in blueprint.steps)
    assert (own.timeout, inherited.timeout) == (5 * MINUTE, 30 * MINUTE)
    assert own.on_offline is inherited.on_offline is OnOffline.SKIP
    assert own.offline_deadline == HOUR
    assert own.retry_policy.max_attempts == 1


def test_units_in_names_are_accepted() -> None:
    step = load(
        with_steps(
            "{id: a, type: dummy.sleep, timeout_minutes: 5, retry_policy: {max_attempts: 2, initial_delay_minutes: 1.5}}"
        )
    ).steps[0]
    assert step.timeout == 5 * MINUTE
    assert step.retry_policy is not None
    assert step.retry_policy.initial_delay == 90 * SECOND


def test_the_two_names_of_one_thing_do_not_stand_together() -> None:
    assert "mean the same" in only_problem(with_steps("{id: a, type: a.b, timeout: 5m, timeout_minutes: 5}")).message


@pytest.mark.parametrize(
    ("step", "path", "words", "hint"),
    [
        ("{id: a, type: a.b, tiemout: 5m}", ".tiemout", "no key `tiemout`", "did you mean `timeout`?"),
        ("{id: a, type: a.b, depends_on: [b]}", ".depends_on", "no key", "write `dependencies`"),
        ("{id: a, type: a.b, timeout: 5}", ".timeout", "expected a duration", "write 5s or 5m"),
        ("{id: a, type: a.b, timeout: 5 min}", ".timeout", "`5 min` is no duration", ""),
        ("{id: a, type: a.b, timeout: 0s}", ".timeout", "too short", ""),
        ("{id: A-b, type: a.b}", ".id", "`A-b` is no id", "lower-case"),
        ("{id: 5, type: a.b}", ".id", "expected a text", 'quote it: "5"'),
        ("{type: a.b}", "", "this step has no `id`", ""),
        ("{id: a}", "", "has none of them", ""),
        ("{id: a, type: a.b, steps: [{id: b, type: a.b}]}", "", "has type and steps", ""),
        ("{id: a, type: bakcup}", ".type", "`bakcup` is no step type", "did you mean `backup`?"),
        ("{id: a, type: a.b, on_failure: revert}", ".on_failure", "expected stop or continue or rollback", ""),
        ("{id: a, type: a.b, run_once: 1}", ".run_once", "expected true or false", ""),
        ("{id: a, type: a.b, for_each: [1, 2]}", ".for_each", "expected a text, not a list", ""),
        ("{id: a, type: a.b, for_each: parameters.x}", ".for_each", "expected one expression", ""),
        ("{id: a, type: a.b, key: x}", "", "`key` belongs beside for_each", ""),
        ("{id: a, type: a.b, matrix: {}}", ".matrix", "`matrix` is reserved and not available yet", ""),
        ("{id: a, type: a.b, else: []}", ".else", "`else` is reserved and not available yet", ""),
        ("{id: a, type: a.b, rollout: {strategy: blue_green}}", ".rollout.strategy", "reserved", ""),
        ("{id: a, type: a.b, rollout: {strategy: rolling, batches: [1]}}", ".rollout", "twice", "keep one"),
        ("{id: a, type: a.b, rollout: {max_parallel: 0}}", ".rollout.max_parallel", "at least 1", ""),
        ("{id: a, type: a.b, rollout: {max_failures: 120%}}", ".rollout.max_failures", "is no percentage", ""),
        ("{id: a, type: a.b, action: create}", ".action", "belongs to classic", ""),
        ("{id: a, type: backup, action: crate}", ".action", "no action `crate`", "did you mean `create`?"),
        ("{id: a, blueprint: other}", ".blueprint", "no called blueprint", "ID@MAJOR"),
        ("{id: a, blueprint: other@1, timeout: 5m}", ".timeout", "a call step has no `timeout`", ""),
        ("{id: a, steps: []}", ".steps", "this group has no steps", ""),
        (
            "{id: a, retry_policy: {max_attempts: 2}, steps: [{id: b, type: a.b}]}",
            ".retry_policy",
            "group step",
            "inside",
        ),
        ("{id: a, type: a.b, finally: [{id: b, type: a.b}]}", ".finally", "a leaf step has no `finally`", ""),
        ("{id: a, type: a.b, targets: {}}", ".targets", "one of select, hosts and from", ""),
        ("{id: a, type: a.b, targets: {hosts: []}}", ".targets.hosts", "empty", ""),
        ("{id: a, type: a.b, targets: {select: 'true', hosts: [b]}}", ".targets", "one of select", ""),
        ("{id: a, type: a.b, at_plan: true, for_each: '${{ targets }}'}", "", "an at_plan step has no for_each", ""),
        ("{id: a, type: a.b, place: coordinator, run_once: true}", "", "runs once anyway", ""),
        ("{id: a, type: a.b, undo: maybe}", ".undo", "expected auto or none", ""),
        ("{id: a, type: a.b, parameters: [1]}", ".parameters", "expected a mapping, not a list", ""),
        ("nonsense", "", "expected a step, not the text `nonsense`", ""),
    ],
)
def test_a_step_that_is_refused(step: str, path: str, words: str, hint: str) -> None:
    problem = only_problem(with_steps(step))
    assert problem.path == f"workflows.x.steps[0]{path}"
    assert words in problem.message
    assert hint in problem.hint
    assert (problem.file, problem.line) == ("test.yaml", 5)


@pytest.mark.parametrize(
    ("body", "path", "words"),
    [
        ("    descripton: x", ".descripton", "no key"),
        ("    concurency: {limit: 1}", ".concurency", "no key"),
        ("    schedule: daily", ".schedule", "reserved and not available yet"),
        ("    outputs: {a: ''}", ".outputs.a", "empty"),
        ("    files: {../x: y}", '["../x"]', "no file name"),
        ("    parameters: {a: {type: strin}}", ".parameters.a.type", "expected string or"),
        ("    parameters: {a: {}}", ".parameters.a", "has no `type`"),
        ("    parameters: {a-b: {type: string}}", ".parameters.a-b", "no name"),
        ("    parameters: {a: {type: integer, default: x}}", ".parameters.a.default", "expected a whole number"),
        (
            "    parameters: {a: {type: string, default: x, choices: [y, z]}}",
            ".parameters.a.default",
            "none of the choices",
        ),
        (
            "    parameters: {a: {type: integer, default: 0, validation: {min: 1}}}",
            ".parameters.a.default",
            "below the least",
        ),
        (
            "    parameters: {a: {type: integer, default: 9, validation: {max: 5}}}",
            ".parameters.a.default",
            "above the greatest",
        ),
        ("    parameters: {a: {type: integer, choices: [x]}}", ".parameters.a.choices[0]", "expected a whole number"),
        ("    parameters: {a: {type: string, validation: {min: 5, max: 1}}}", ".parameters.a.validation", "above max"),
        (
            "    parameters: {a: {type: string, validation: {pattern: '('}}}",
            ".parameters.a.validation.pattern",
            "cannot be read",
        ),
        (
            "    parameters: {a: {type: string, validation: {pattern: '(?=x)'}}}",
            ".parameters.a.validation.pattern",
            "look-around",
        ),
        ("    parameters: {a: {type: boolean, validation: {min: 1}}}", ".parameters.a", "has no min or max"),
        ("    parameters: {a: {type: secret, default: hunter2}}", ".parameters.a.default", "never the secret itself"),
        ("    requires: {hosts: {min: 3, max: 1}}", ".requires.hosts", "above max"),
        ("    rollback_plan: {actions: []}", ".rollback_plan", "has no `enabled`"),
        ("    defaults: {timeout: 5}", ".defaults.timeout", "expected a duration"),
        ("    defaults: {env: {'a b': x}}", '["a b"]', "no environment variable"),
        ("    finally: {id: a}", ".finally", "expected a list"),
    ],
)
def test_a_blueprint_that_is_refused(body: str, path: str, words: str) -> None:
    problem = only_problem(rich(body))
    assert path.replace('"', "'") in problem.path
    assert words in problem.message
    assert problem.line == 4


def test_every_problem_is_told_at_once_in_the_order_of_the_file() -> None:
    found = problems(with_steps("{id: a, tpe: a.b}", "{id: b, type: a.b, tiemout: 1}", "{id: C, type: a.b}"))
    assert [each.line for each in found] == [5, 5, 6, 7]
    assert [each.path for each in found][-1] == "workflows.x.steps[2].id"


def test_a_problem_is_one_line() -> None:
    problem = only_problem(with_steps("{id: a, type: a.b, tiemout: 5m}"))
    assert str(problem) == (
        "test.yaml:5:28: workflows.x.steps[0].tiemout: a step has no key `tiemout` (did you mean `timeout`?)"
    )


def test_a_default_makes_a_parameter_optional() -> None:
    parameter = load(rich("    parameters: {a: {type: integer, required: true, default: 3}}")).parameters["a"]
    assert (parameter.required, parameter.default) == (False, 3)


def test_a_null_default_of_a_text_is_refused() -> None:
    assert "expected a string" in only_problem(rich("    parameters: {a: {type: string, default: null}}")).message


def test_approvers_that_can_never_agree() -> None:
    text = rich("    approvals: [{step: a, required: 2, of: [alice]}]")
    assert "2 must agree, but only 1 may answer" in problems(text, frozenset({"approvals"}))[0].message


def test_who_may_not_approve_is_kept_by_what_is_printed() -> None:
    text = rich("    approvals: [{step: a, strict: true, separation: false}, {step: a}]")
    blueprint = load(text)
    assert [(each.gate.strict, each.gate.separation) for each in blueprint.approvals] == [(True, False), (False, True)]
    (again,) = load_blueprints(expand(blueprint), "again.yaml", BUILT)
    assert again == blueprint


def test_an_approval_of_an_unknown_step() -> None:
    text = rich("    approvals: [{step: aa, required: 1, of: ['role:ops']}]")
    assert only_problem(text, frozenset({"approvals"})).hint == "did you mean `a`?"


def test_placement_and_undo_steps() -> None:
    step = load(
        with_steps("{id: a, type: command.run, undo: [{id: back, type: command.run, parameters: {argv: [ls]}}]}")
    ).steps[0]
    assert step.undo is Undo.STEPS
    assert step.undo_steps[0].id == "back"
    assert load(with_steps("{id: a, type: gate.pause, place: coordinator}")).steps[0].place is Place.COORDINATOR


def test_one_blueprint_is_asked_for() -> None:
    two = "pilotage: 1\nworkflows:\n  a: {steps: [{id: s, type: a.b}]}\n  b: {steps: [{id: s, type: a.b}]}\n"
    with pytest.raises(BlueprintError, match="several blueprints: a, b"):
        load_blueprint(two, "two.yaml")


def test_at_plan_waits_only_for_its_like() -> None:
    problem = only_problem(with_steps("{id: a, type: a.b}", "{id: b, type: a.b, at_plan: true, dependencies: [a]}"))
    assert "an at_plan step depends on `a`, which is none" in problem.message


def test_positions_of_parts_are_known_after_loading() -> None:
    blueprint = load(with_steps("{id: a, type: dummy.sleep, parameters: {seconds: 3}}"))
    at = blueprint.position((*blueprint.steps[0].path, "parameters", "seconds"))
    assert (at.line, at.column) == (5, 58)


def test_keys_that_start_with_x_are_data_where_keys_are_data() -> None:
    step = "      - {id: a, type: a.b, x-note: 1, parameters: {x-header: {x-y: 2}}}"
    text = rich("    files: {x-foo: one, y: two}\n    x-mine: {any: thing}", step)
    blueprint = load(text)
    assert blueprint.files == {"x-foo": "one", "y": "two"}
    assert blueprint.steps[0].parameters == {"x-header": {"x-y": 2}}
    (again,) = load_blueprints(expand(blueprint), "again.yaml", BUILT)
    assert again == blueprint
    assert content_digest(again) != content_digest(load(text.replace("x-foo: one", "x-foo: other")))


def test_what_is_missing_is_named_with_the_line_to_add() -> None:
    (problem,) = problems("pilotage: 1\nworkflows:\n  x: {name: n, version: 1.0.0}\n")
    assert problem.message.endswith("has no `steps`")
    assert problem.hint.startswith("add `steps:`")
