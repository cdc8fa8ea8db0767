"""Each trap of BLUEPRINTS.md, and each abuse of the issue, is refused with a line that helps."""

import pytest
from pilotage_coordinator.domain.blueprint.errors import Problems
from pilotage_coordinator.domain.blueprint.form.step import MOST_STEPS
from pilotage_coordinator.domain.blueprint.nodes import ListNode, MapNode, Node
from pilotage_coordinator.domain.blueprint.reader import DEEPEST, LARGEST_FILE, MOST_NODES, read_tree

from tests.unit.blueprint.writing import load, only_problem, problems, rich, with_steps


def said(text: str) -> str:
    return "\n".join(str(each) for each in problems(text))


@pytest.mark.parametrize(
    ("text", "place", "words", "cure"),
    [
        (rich("    version: 1.10"), (4, 14), "1.10 would become 1.1", 'quote it: "1.10"'),
        (
            with_steps("{id: a, type: file.write, parameters: {mode: 0644}}"),
            (5, 54),
            "loses its leading zero",
            'quote it: "0644"',
        ),
        (rich("    name: {{ parameters.x }}"), (4, 12), "a key is a mapping", 'quote it: "${{'),
        (
            rich("    name: x", "      - id: a\n        type: dummy.sleep\n        when: !x"),
            (8, 15),
            "YAML tag",
            '"!x"',
        ),
        (rich("    name: one\n    name: two"), (5, 5), "written twice: here and in line 4", "keep one"),
        (rich("    on_failure: stop\n    name: yes"), (5, 11), "unquoted `yes`", 'write "yes" or true'),
        (rich("\tname: x"), (4, 1), "a tab", "spaces"),
        (rich("    <<: {name: x}"), (4, 5), "merge keys", "write the keys out"),
        (rich("    name: !!str x"), (4, 11), "!!str", ""),
        (rich("    name: 99999999999999999999"), (4, 11), "2^53", "quote it"),
        (rich("    deadline: 0x10"), (4, 15), "number to some readers", ""),
    ],
)
def test_trap_of_yaml(text: str, place: tuple[int, int], words: str, cure: str) -> None:
    found = problems(text)
    problem = next(each for each in found if (each.line, each.column) == place)
    assert words in problem.message
    assert cure in problem.hint


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ("'9' >= '12'", "letter by letter"),
        ("host.facts.version < '2.1.0-rc1'", "version('2.1.0-rc1')"),
        ("[1].all(x, x > 0)", "`all` is not part of this language"),
        ("parameters.nope > 0", "there is no parameter `nope`"),
        ("host.lables.x == 1", "did you mean `labels`?"),
        ("host.name = 'x'", "write =="),
        ("item == 'x'", "item belongs to a step with for_each"),
        ("${{ host.online }}", "a condition holds no ${{ }}"),
        ("(" * 100 + "1" + ")" * 100, "nests deeper"),
        ("host.name == 'x' and true", "write &&"),
        ("countt([1]) > 0", "did you mean `count`?"),
        ("1 +", "expected a value at the end"),
    ],
)
def test_trap_of_an_expression(condition: str, words: str) -> None:
    assert words in said(rich("    name: x", f'      - {{id: a, type: dummy.sleep, when: "{condition}"}}'))


def test_times_and_dates_are_no_versions() -> None:
    load(with_steps("{id: a, type: dummy.sleep, when: \"now_in('UTC').time >= '02:00' && 'x' < '2026-01-31'\"}"))


def test_id_used_twice_is_refused_across_groups() -> None:
    problem = only_problem(with_steps("{id: a, type: dummy.sleep}", "{id: g, steps: [{id: a, type: dummy.sleep}]}"))
    assert "used twice" in problem.message
    assert problem.line == 6
    assert "line 5" in problem.message


def test_dependency_on_a_step_that_is_no_sibling() -> None:
    problem = only_problem(
        with_steps(
            "{id: g, steps: [{id: inner, type: dummy.sleep}]}", "{id: b, type: dummy.sleep, dependencies: [inner]}"
        )
    )
    assert "`inner` is no sibling of `b`" in problem.message


def test_unknown_dependency_with_a_near_one() -> None:
    problem = only_problem(
        with_steps("{id: prepare, type: dummy.sleep}", "{id: b, type: dummy.sleep, dependencies: [prepair]}")
    )
    assert problem.hint == "did you mean `prepare`?"
    assert problem.path == "workflows.x.steps[1].dependencies[0]"


def test_a_cycle_is_printed() -> None:
    problem = only_problem(
        with_steps(
            "{id: a, type: dummy.sleep, dependencies: [c]}",
            "{id: b, type: dummy.sleep, dependencies: [a]}",
            "{id: c, type: dummy.sleep, dependencies: [b]}",
        )
    )
    assert "a → c → b → a" in problem.message


def test_a_step_that_depends_on_itself() -> None:
    assert "depends on itself" in only_problem(with_steps("{id: a, type: dummy.sleep, dependencies: [a]}")).message


def test_a_version_in_quotes_is_what_was_written() -> None:
    assert load(rich('    version: "1.10"')).version == "1.10.0"


@pytest.mark.parametrize("value", ["2", "1.0", "true", "[a]"])
def test_the_language_has_one_version(value: str) -> None:
    assert problems(f"pilotage: {value}\nworkflows: {{x: {{steps: [{{id: a, type: dummy.sleep}}]}}}}\n")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the file is empty"),
        ("# nothing\n", "the file is empty"),
        ("~\n", "the file is empty"),
        ("- a\n", "expected a file of blueprints, not a list"),
        ("just text\n", "expected a file of blueprints, not the text"),
        ("pilotage: 1\n", "has no `workflows`"),
        ("pilotage: 1\nworkflows: {}\n", "holds no blueprint"),
        ("pilotage: 1\nworkflows: []\n", "expected a mapping, not a list"),
        ("a: 1\n---\nb: 2\n", "a second document starts here"),
        ("a: [1, 2\n", "this is no YAML"),
        ("a: \x07\n", "this is no YAML"),
        ("a: \ud800\n", "no valid UTF-8"),
        ("a: &x [*x]\n", "inside, the anchor"),
        ("a: *nowhere\n", "before, or inside, the anchor"),
        ("? [a]\n: b\n", "a key is no plain text"),
    ],
)
def test_a_file_that_holds_no_blueprint(text: str, words: str) -> None:
    assert words in said(text)


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(9)
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (BOMB, f"more than {MOST_NODES} values"),
        ("x" * 10_000_000, "larger than 1048576 bytes"),
        ("é" * (LARGEST_FILE // 2 + 1), "larger than"),
        ("[" * 500_000, f"deeper than {DEEPEST}"),
        ("{a: " * 200_000, f"deeper than {DEEPEST}"),
        ("- " * 500_000, f"deeper than {DEEPEST}"),
        ("? " * 500_000, "a key is a mapping"),
        ("&a " * 300_000, "no YAML"),
        ("a:" * 500_000, "no YAML"),
        ("# a\n" * 250_000 + "a: 1", "more than 50000 lines"),
        ("a: >\n" + "  x\r" * 250_000, "more than 50000 lines"),
        ("a: [" + "1," * 500_000 + "]", f"more than {MOST_NODES} values"),
        (
            with_steps("{id: a, type: a.b, parameters: {" + ", ".join(f"k{n}: {n}" for n in range(70_000)) + "}}"),
            "values",
        ),
        ("pilotage: 1\nworkflows:\n" + "".join(f"  b{n}: {{steps: []}}\n" for n in range(35_000)), "values"),
        (
            with_steps(*(f"{{id: s{n}, type: a.b, dependencies: [s{(n + 1) % 5_000}]}}" for n in range(5_000))),
            "wait for",
        ),
    ],
    ids=[
        *("bomb", "huge", "bytes", "flow", "maps", "lists", "keys", "anchors", "colons"),
        *("comments", "folded", "scalars", "parameters", "blueprints", "cycle"),
    ],
)
def test_abuse_is_refused(text: str, words: str) -> None:
    assert words in said(text)


def test_more_than_five_thousand_steps() -> None:
    steps = "\n".join(f"      - {{id: s{i}, type: a.b}}" for i in range(5_001))
    problem = only_problem(rich("", steps))
    assert "more than 5000 steps" in problem.message


def test_five_thousand_steps_of_the_usual_size_hold_no_more_values_than_a_file_may() -> None:
    step = "      - {{id: step_{0}, type: command.run, dependencies: [step_{1}], when: 'parameters.on', timeout: 5m,"
    step += " parameters: {{argv: [/usr/bin/run, --number, '{0}'], env: {{N: '{0}'}}}}}}"
    written = [step.format(number, number - 1) for number in range(1000, 1010)]
    assert max(map(len, written)) * MOST_STEPS < LARGEST_FILE

    def values(node: Node) -> int:
        match node:
            case MapNode():
                return 1 + sum(1 + values(value) for _, value in node.entries)
            case ListNode():
                return 1 + sum(map(values, node.items))
        return 1

    each = values(read_tree("\n".join(written), Problems("large.yaml"))) / len(written)
    assert each * MOST_STEPS < MOST_NODES


def test_a_chain_of_many_steps_is_read() -> None:
    steps = ["      - {id: s0, type: a.b}"]
    steps += [
        f'      - {{id: s{i}, type: a.b, dependencies: [s{i - 1}], when: "steps.s0.outputs.x > {i}"}}'
        for i in range(1, 1_500)
    ]
    assert len(load(rich("", "\n".join(steps))).steps) == 1_500


def test_groups_nest_to_depth_four() -> None:
    def nested(depth: int) -> str:
        text = "{id: leaf, type: dummy.sleep}"
        for level in range(depth):
            text = f"{{id: g{level}, steps: [{text}]}}"
        return with_steps(text)

    load(nested(4))
    assert "deeper than 4" in only_problem(nested(5)).message


def test_aliases_stand_for_what_they_name() -> None:
    blueprint = load(
        with_steps(
            "{id: a, type: dummy.sleep, parameters: &p {seconds: 1}}", "{id: b, type: dummy.sleep, parameters: *p}"
        )
    )
    assert blueprint.steps[0].parameters == blueprint.steps[1].parameters == {"seconds": 1}


def test_a_hundred_problems_are_enough() -> None:
    steps = "\n".join(f"      - {{id: s{i}, typ: a.b}}" for i in range(500))
    assert len(problems(rich("", steps))) == 100


def test_unquoted_braces_inside_a_flow_mapping_are_told() -> None:
    problem = only_problem(rich("", "      - {id: a, type: a.b, parameters: {x: ${{ parameters.y }}}}"))
    assert problem.message.startswith("this is no YAML")
    assert "quote" in problem.hint


def test_a_condition_that_begins_with_a_bang_inside_a_flow_mapping_is_told() -> None:
    problem = only_problem(rich("", "      - {id: a, type: a.b, when: !x}"))
    assert problem.message == "this is no YAML: a word that begins with ! is a YAML tag"
    assert problem.hint == "quote the condition"
