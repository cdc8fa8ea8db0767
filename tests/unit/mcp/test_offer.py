"""The one predicate, over every tool: who is offered what, and that nothing else decides it."""

import pytest
from pilotage_coordinator.domain.access.grant import Grant
from pilotage_coordinator.domain.access.principal import PrincipalKind
from pilotage_coordinator.domain.access.role import BUILT_IN, Role
from pilotage_coordinator.mcp.catalogue import TOOLS
from pilotage_coordinator.mcp.handlers.tools import described
from pilotage_coordinator.mcp.schema import input_schema, output_schema
from pilotage_coordinator.mcp.tool import Tool, offered
from pilotage_coordinator.mcp.toolset import DEFAULT, Toolset, View, ViewRefused, view_of
from pilotage_coordinator.service.caller import Caller
from pilotage_coordinator.service.operations import OPERATIONS, OperationEffect

EVERYTHING = View(frozenset(Toolset))
every_tool = pytest.mark.parametrize("tool", TOOLS.values(), ids=lambda tool: tool.name)


def caller(role: str, kind: PrincipalKind = PrincipalKind.ASSISTANT) -> Caller:
    return Caller("bot", kind, (Grant(BUILT_IN[role]),))


def names(who: Caller, view: View) -> set[str]:
    return {each.name for each in TOOLS.values() if offered(each, who, view)}


@every_tool
def test_a_tool_is_offered_only_with_every_permission_that_it_needs(tool: Tool) -> None:
    needed = {OPERATIONS[each].permission for each in tool.operations}
    whole = Caller("bot", PrincipalKind.PERSON, (Grant(Role("all", frozenset(needed))),))
    assert offered(tool, whole, EVERYTHING)
    for missing in needed:
        part = Caller("bot", PrincipalKind.PERSON, (Grant(Role("part", frozenset(needed - {missing}))),))
        assert not offered(tool, part, EVERYTHING)
    assert not offered(tool, Caller("nobody", PrincipalKind.ASSISTANT), EVERYTHING)


@every_tool
def test_read_only_wins_over_every_permission_and_every_toolset(tool: Tool) -> None:
    owner = caller("owner", PrincipalKind.PERSON)
    writes = any(OPERATIONS[each].effect is OperationEffect.WRITE for each in (*tool.operations, *tool.also))
    assert offered(tool, owner, View(frozenset(Toolset), read_only=True)) is not writes
    assert tool.read_only is not writes


@every_tool
def test_a_tool_says_all_four_things_of_itself_and_describes_what_it_takes_and_gives(tool: Tool) -> None:
    shown = described(tool.name)
    hints = shown.annotations
    assert hints is not None
    assert None not in (hints.read_only_hint, hints.destructive_hint, hints.idempotent_hint, hints.open_world_hint)
    assert not (hints.read_only_hint and hints.destructive_hint)
    assert shown.title
    assert shown.description
    assert input_schema(tool.request)["additionalProperties"] is False
    assert output_schema(tool.answer)["type"] == "object"


@every_tool
def test_a_tool_needs_operations_of_the_matrix_that_no_face_may_go_around(tool: Tool) -> None:
    assert tool.operations
    assert {*tool.operations, *tool.also} <= set(OPERATIONS)


def test_an_assistant_is_offered_what_it_may_do_and_a_looker_nothing_that_changes_anything() -> None:
    may = names(caller("assistant"), EVERYTHING)
    assert {"plan_workflow", "execute_workflow", "cancel_workflow", "explain_execution"} <= may
    assert not {"search_events", "examine_coordinator"} & may
    looks = {each.name for each in TOOLS.values() if each.read_only} - {"search_events", "examine_coordinator"}
    assert names(caller("reader"), View(frozenset(Toolset), read_only=True)) == looks
    # A check leaves a record, and nothing else.
    assert names(caller("reader"), EVERYTHING) - looks == {"validate_workflow_compliance"}


def test_whatever_role_an_assistant_was_given_no_tool_decides_for_people() -> None:
    for role in BUILT_IN:
        for name in names(caller(role), EVERYTHING):
            assert not {"run.release", "run.resolve", "approval.decide"} & {
                OPERATIONS[each].permission for each in (*TOOLS[name].operations, *TOOLS[name].also)
            }


def test_the_default_is_small() -> None:
    assert View().toolsets == DEFAULT
    assert "examine_coordinator" not in names(caller("owner", PrincipalKind.PERSON), View())


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ([("toolsets", "reed")], "did you mean read"),
        ([("toolsets", "")], "no toolset"),
        ([("read_only", "yes")], "true or false"),
        ([("read_only", "true"), ("read_only", "false")], "twice"),
        ([("readonly", "true")], "not known"),
    ],
)
def test_a_view_that_makes_no_sense_is_refused_and_never_taken_for_another(
    query: list[tuple[str, str]], words: str
) -> None:
    with pytest.raises(ViewRefused, match=words):
        view_of(query)


def test_a_view_is_read() -> None:
    assert view_of([]) == View()
    assert view_of([("toolsets", "all"), ("read_only", "true")]) == View(frozenset(Toolset), read_only=True)
    assert view_of([("toolsets", "author, read")]).toolsets == {Toolset.AUTHOR, Toolset.READ}
