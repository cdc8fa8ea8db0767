"""What an expression may name where it stands: checked when the blueprint is loaded."""
# ruff: noqa: E501 - a case is one line of YAML

import pytest

from tests.unit.blueprint.writing import load, only_problem, problems, rich, with_steps

PER_HOST = "{id: find, type: a.b}"
LOOP = "{id: loop, type: a.b, dependencies: [find], for_each: '${{ steps.find.outputs.list }}'}"
ONCE = "{id: once, type: a.b, run_once: true}"


@pytest.mark.parametrize(
    "steps",
    [
        (PER_HOST, "{id: b, type: a.b, dependencies: [find], when: 'steps.find.outputs.n > 0'}"),
        (PER_HOST, "{id: b, type: a.b, dependencies: [find], when: \"steps.find.status == 'skipped'\"}"),
        (PER_HOST, "{id: b, type: a.b, run_once: true, dependencies: [find], parameters: {x: '${{ steps.find.results }}'}}"),
        (ONCE, "{id: b, type: a.b, dependencies: [once], parameters: {x: '${{ steps.once.outputs.y }}'}}"),
        (PER_HOST, "{id: b, type: a.b, dependencies: [find]}", "{id: c, type: a.b, dependencies: [b], when: 'steps.find.outputs.n > 0'}"),
        (PER_HOST, LOOP, "{id: c, type: a.b, dependencies: [loop], when: 'count(steps.loop.results) > 0'}"),
        (PER_HOST, "{id: g, dependencies: [find], steps: [{id: inner, type: a.b, when: 'steps.find.outputs.n > 0'}]}"),
        ("{id: g, steps: [{id: inner, type: a.b}]}", "{id: c, type: a.b, dependencies: [g], parameters: {x: '${{ steps.inner.outputs.y }}', y: '${{ steps.g.results }}'}}"),
        ("{id: g, steps: [{id: inner, type: a.b}], finally: [{id: f, type: a.b, when: \"steps.inner.status == 'failed'\"}]}",),
        ("{id: a, type: a.b, undo: [{id: u, type: a.b, parameters: {x: '${{ steps.a.outputs.y }}'}}]}",),
        (PER_HOST, "{id: c, blueprint: other@1, dependencies: [find], parameters: {hosts: '${{ targets }}'}}", "{id: d, type: a.b, dependencies: [c], parameters: {x: '${{ steps.c.outputs.y }}'}}"),
        ("{id: a, type: validation.assert, parameters: {that: 'host.online', message: 'on ${{ host.name }}'}}",),
        ("{id: a, type: a.b, parameters: {x: \"{{.State}} {{ .Name }} $${{ not.me }}\", y: '{{ parameters.p }}'}}",),
        ("{id: a, type: a.b, place: coordinator, parameters: {x: '${{ execution.id }}'}}",),
        ("{id: g, steps: [{id: a, type: a.b, place: coordinator, parameters: {x: '${{ host.name }}'}}]}",),
        (PER_HOST, "{id: b, type: a.b, dependencies: [find], targets: {from: find}}"),
        (PER_HOST, "{id: g, dependencies: [find], steps: [{id: a, type: a.b, targets: {from: find}}, {id: b, type: a.b, dependencies: [a], targets: {from: a}}]}"),
        ("{id: g, steps: [{id: o, run_once: true, steps: [{id: a, type: a.b}, {id: b, type: a.b, dependencies: [a], when: 'steps.a.outputs.n > 0'}]}]}",),
        ("{id: g, steps: [{id: a, type: a.b, run_once: true}, {id: b, type: a.b, dependencies: [a], when: \"steps.a.status == 'skipped'\"}]}",),
    ],
)  # fmt: skip
def test_names_that_are_known(steps: tuple[str, ...]) -> None:
    load(rich("    parameters: {p: {type: string}}", "\n".join(f"      - {each}" for each in steps)))


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ((PER_HOST, "{id: b, type: a.b, when: 'steps.find.outputs.n > 0'}"), "`find` has not ended when this is read"),
        (("{id: b, type: a.b, when: 'steps.b.outputs.n > 0'}",), "`b` has not ended"),
        ((PER_HOST, "{id: b, type: a.b, dependencies: [find], when: 'steps.fnd.outputs.n > 0'}"), "there is no step `fnd`"),
        ((PER_HOST, "{id: b, type: a.b, dependencies: [find], when: 'steps.find.output.n > 0'}"), "has no `output`"),
        ((PER_HOST, "{id: b, type: a.b, dependencies: [find], when: 'steps.find'}"), "read as steps.ID.outputs"),
        ((PER_HOST, "{id: b, type: a.b, run_once: true, dependencies: [find], when: 'steps.find.outputs.n > 0'}"), "runs on each host, and this runs once"),
        ((PER_HOST, "{id: b, type: a.b, place: coordinator, dependencies: [find], when: 'steps.find.outputs.n > 0'}"), "runs on each host, and this runs once"),
        ((PER_HOST, LOOP, "{id: b, type: a.b, dependencies: [loop], when: 'steps.loop.outputs.n > 0'}"), "runs once for each item, and this does not"),
        (("{id: g, steps: [{id: a, type: a.b}, {id: b, type: a.b, dependencies: [a], when: 'count(steps.a.results) > 0'}]}",), "still running on other hosts"),
        (("{id: g, steps: [{id: a, type: a.b}]}", "{id: b, type: a.b, dependencies: [g], when: 'steps.g.outputs.n > 0'}"), "a group has no outputs"),
        (("{id: g, steps: [{id: a, type: a.b, run_once: true}, {id: b, type: a.b, dependencies: [a], when: 'steps.a.outputs.n > 0'}]}",), "`a` runs on one host of its group only"),
        (("{id: g, steps: [{id: o, run_once: true, steps: [{id: a, type: a.b}]}, {id: b, type: a.b, dependencies: [o], when: 'steps.a.outputs.n > 0'}]}",), "`o` runs on one host of its group only"),
        (("{id: g, steps: [{id: a, type: a.b, targets: {from: g}}]}",), "`g` has not ended everywhere"),
        (("{id: g, steps: [{id: a, type: a.b}, {id: b, type: a.b, targets: {from: a}}]}",), "`a` has not ended everywhere"),
        (("{id: b, type: a.b, place: coordinator, when: 'host.online'}",), "the name `host` is not known here"),
        (("{id: b, type: a.b, when: 'item == 1'}",), "the name `item` is not known here"),
        (("{id: b, type: a.b, for_each: '${{ item }}'}",), "the name `item` is not known here"),
        (("{id: b, type: a.b, for_each: '${{ targets }}', key: '${{ item_key }}'}",), "the name `item_key` is not known here"),
        (("{id: b, type: a.b, when: 'batch.index > 0'}",), "the name `batch` is not known here"),
        (("{id: b, type: a.b, when: \"secret.x == 'y'\"}",), "the name `secret` is not known here"),
        (("{id: b, type: a.b, parameters: {deep: [{x: '${{ parameters.nope }}'}]}}",), "there is no parameter `nope`"),
        (("{id: b, type: a.b, parameters: {x: '{{ parameters.nope }}'}}",), "there is no parameter `nope`"),
        (("{id: b, type: a.b, parameters: {x: '${{ parameters.p'}}",), "no closing `}}`"),
        (("{id: b, type: a.b, when: 'execution.nope == 1'}",), "`execution` has no field `nope`"),
        (("{id: b, type: a.b, targets: {select: 'steps.b.status == 1'}}",), "the name `steps` is not known here"),
        (("{id: b, type: a.b, targets: {hosts: '${{ host.name }}'}}",), "the name `host` is not known here"),
        ((PER_HOST, "{id: b, type: a.b, targets: {from: find}}"), "`find` has not ended everywhere"),
        ((PER_HOST, "{id: b, type: a.b, targets: {from: fnd}}"), "there is no step `fnd`"),
        (("{id: b, type: a.b, rollout: {max_parallel: '${{ host.facts.n }}'}}",), "the name `host` is not known here"),
        (("{id: b, type: validation.assert, parameters: {that: '${{ host.online }}'}}",), "a condition holds no ${{ }}"),
        (("{id: b, type: validation.assert, parameters: {that: 'host.nope'}}",), "`host` has no field `nope`"),
    ],
)  # fmt: skip
def test_names_that_are_not_known(steps: tuple[str, ...], words: str) -> None:
    problem = only_problem(rich("    parameters: {p: {type: string}}", "\n".join(f"      - {each}" for each in steps)))
    assert words in problem.message


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("    outputs: {o: '${{ steps.a.outputs.x }}'}", "runs on each host, and this runs once"),
        ("    outputs: {o: '${{ host.name }}'}", "the name `host` is not known here"),
        ("    parameters: {p: {type: string, validation: {that: 'host.online'}}}", "the name `host`"),
        ("    requires: {that: ['host.online']}", "the name `host`"),
        ("    targets: {select: 'hosts.x.online'}", "the name `hosts`"),
        ("    targets: {limit: '${{ hosts }}', select: 'true'}", "the name `hosts`"),
        ("    targets: {from: a}", "has not ended everywhere"),
        ("    rollback_plan: {enabled: true, conditions: ['host.online']}", "the name `host`"),
    ],
)
def test_names_in_the_blueprint_itself(body: str, words: str) -> None:
    assert words in only_problem(rich(body)).message


def test_the_end_sees_every_step() -> None:
    load(
        rich(
            "    outputs: {o: '${{ steps.a.results }}'}\n"
            "    finally: [{id: f, type: a.b, when: \"steps.a.status == 'failed'\"}]\n"
            "    rollback_plan: {enabled: true, conditions: ['count(steps.a.results) > 0'],"
            " actions: [{id: r, type: a.b, when: \"steps.a.status == 'succeeded'\"}]}"
        )
    )


def test_the_end_does_not_see_itself() -> None:
    assert problems(rich("    outputs: {o: '${{ steps.f.results }}'}\n    finally: [{id: f, type: a.b}]"))


def test_rollout_judges_see_their_batch() -> None:
    load(
        with_steps(
            "{id: g, rollout: {order_by: '${{ steps.role.outputs.n }}', refresh: [{id: role, type: a.b}], "
            "health: {steps: [{id: up, type: a.b, when: 'steps.swap.outputs.n > batch.index'}]}, "
            "analysis: [{id: slow, type: a.b, place: coordinator, when: 'count(steps.swap.results) > 1'}]}, "
            "steps: [{id: swap, type: a.b, when: 'steps.role.outputs.n > 0'}]}"
        )
    )


def test_a_place_is_where_the_expression_stands() -> None:
    problem = only_problem(rich("", "      - id: a\n        type: a.b\n        parameters:\n          x: ${{ nope }}"))
    assert (problem.line, problem.column) == (8, 14)
    assert problem.path == "workflows.x.steps[0].parameters.x"
