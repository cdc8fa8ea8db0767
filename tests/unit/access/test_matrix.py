"""Every operation, as every built-in role, on one's own things and on others': it does what the matrix says."""

import contextlib
import re
from typing import Any

import pytest
from pilotage_coordinator.domain.access.grant import Grant
from pilotage_coordinator.domain.access.permission import ASSISTANTS_MOST, PERSONS_ONLY, gives
from pilotage_coordinator.domain.access.role import BUILT_IN, Role
from pilotage_coordinator.service.caller import Caller
from pilotage_coordinator.service.errors import Denied, ServiceError
from pilotage_coordinator.service.operations import OPERATIONS, PERMISSIONS, About, OperationEffect
from pilotage_coordinator.service.verb import Stream
from pilotage_coordinator.service.verbs import ALL
from pilotage_coordinator.store.records import PrincipalRecord, TokenRecord

from tests.unit.access.matrix import OWNED, PAGE, kind_of, page
from tests.unit.service.desk import ANN, DAY, NOW, Desk
from tests.unit.service.test_guard import EXAMPLES, lent_by, world

OWN_EXECUTION = "exe_" + "0" * 31 + "2"
OWN_TOKEN = "tok_" + "0" * 31 + "2"
OWN = {"execution": OWN_EXECUTION, "principal": "me", "token": OWN_TOKEN, "schedule": "mine"}


def matrix() -> dict[str, dict[str, str]]:
    """Return what the page says: operation to role to `yes`, `own` or nothing."""
    rows = re.findall(r"^\| ([a-z._]+) \| [a-z_]+\.[a-z_]+ \| (.*) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return {name: dict(zip(BUILT_IN, (each.strip() for each in cells.split("|")), strict=True)) for name, cells in rows}


def test_the_page_has_the_matrix_as_it_is() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text == page(text), "write it anew: python -m tests.unit.access.matrix"
    assert matrix().keys() == OPERATIONS.keys()


def test_nobody_but_an_owner_may_do_what_makes_others_more() -> None:
    rows = matrix()
    for operation in ("principal.add", "principal.role", "principal.keys", "role.set", "coordinator.stop"):
        assert [role for role, cell in rows[operation].items() if cell] == ["owner"], operation


def test_an_auditor_changes_nothing_and_reads_everything() -> None:
    for name, cells in matrix().items():
        row = OPERATIONS[name]
        # What is given by the permission to read writes nothing but that somebody looked.
        looks = row.permission.endswith(".read")
        write = row.effect is OperationEffect.WRITE and not looks and not name.startswith("token.")
        assert cells["auditor"] == ("" if write else cells["auditor"]), name
        if not write and not name.startswith("token."):
            assert cells["auditor"] == "yes", name


def test_an_author_and_an_approver_start_nothing() -> None:
    rows = matrix()
    for role in ("author", "approver", "auditor"):
        assert [name for name in ("run.start", "exec", "run.retry", "run.cancel") if rows[name][role]] == []


CASES = [(verb, False) for verb in ALL] + [
    (verb, True)
    for verb in ALL
    if OPERATIONS[verb.operation].about in OWNED - {About.MANY, About.NOTIFICATION, About.APPROVAL}
]


@pytest.mark.parametrize(
    ("verb", "own"), CASES, ids=[f"{verb.operation}-{'own' if own else 'other'}" for verb, own in CASES]
)
async def test_an_operation_does_what_the_matrix_says(desk: Desk, verb: Any, own: bool) -> None:
    row, cells = OPERATIONS[verb.operation], matrix()[verb.operation]
    await world(desk)
    await desk.store.access.add_principal(PrincipalRecord("me", "person", NOW, "ann", keys=(ANN.line,)))
    await desk.store.access.add_token(TokenRecord(OWN_TOKEN, "sha256:mine", "me", "", NOW, "ann", NOW + DAY))
    await desk.add_execution(OWN_EXECUTION, requested_by="me")
    await desk.add_schedule("mine", owner="me")
    if verb.operation == "notification.retry":
        await desk.add_dead_notification()
    fields = EXAMPLES.get(verb.operation, {})
    mine = {name: value for name, value in OWN.items() if own and name in fields}
    if verb.operation == "approval.delegate":
        mine["proof"] = lent_by("me")
    request = verb.request(**{**fields, **mine})
    # Those who may not come first: a write by one who may would change the world for them.
    for role in sorted(BUILT_IN, key=lambda role: cells[role] == "yes"):
        caller = Caller("me", kind_of(role), (Grant(BUILT_IN[role]),))
        allowed = cells[role] == "yes" or (cells[role] == "own" and (own or row.about is About.MANY))
        assert await permitted(desk, verb, caller, request) is allowed, role


@pytest.mark.parametrize("verb", ALL, ids=lambda verb: verb.operation)
async def test_an_assistant_gets_no_more_by_any_role(desk: Desk, verb: Any) -> None:
    """Also by one that gives everything, on things of its own."""
    row = OPERATIONS[verb.operation]
    await world(desk)
    await desk.store.access.add_principal(PrincipalRecord("me", "assistant", NOW, "ann"))
    await desk.add_execution(OWN_EXECUTION, requested_by="me")
    fields = EXAMPLES.get(verb.operation, {})
    request = verb.request(**{**fields, **({"execution": OWN_EXECUTION} if "execution" in fields else {})})
    caller = Caller("me", kind_of("assistant"), (Grant(Role("all", frozenset({"*"}))),))
    harmless = row.permission in ("self.read", "plan.make", "run.start", "run.control") or row.permission.endswith(
        ".read"
    )
    assert await permitted(desk, verb, caller, request) is harmless


def test_what_assistants_and_services_can_never_hold_is_named() -> None:
    assert not any(gives(most, "approval.decide", own=True) for most in ASSISTANTS_MOST)
    assert "approval.decide" in PERSONS_ONLY
    assert {each for each in PERMISSIONS if any(gives(most, each, own=False) for most in ASSISTANTS_MOST)} == {
        each for each in PERMISSIONS if each.endswith(".read")
    } | {"plan.make", "run.start"} | ({"approval.request"} & set(PERMISSIONS))


async def permitted(desk: Desk, verb: Any, caller: Caller, request: Any) -> bool:
    """Return whether an operation does not deny itself to a caller; what else becomes of it is no matter here."""
    try:
        answer = await verb(desk.services, caller, request)
        if isinstance(verb, Stream):
            await answer.aclose()
    except Denied:
        return False
    except ServiceError:
        return True
    return True


async def test_without_any_grant_nothing_is_permitted_but_to_ask_who_one_is(desk: Desk) -> None:
    await world(desk)
    nobody = Caller("bob", kind_of("owner"))
    for verb in ALL:
        with contextlib.suppress(ServiceError):
            allowed = await permitted(desk, verb, nobody, verb.request(**EXAMPLES.get(verb.operation, {})))
            assert allowed is (OPERATIONS[verb.operation].permission == "self.read"), verb.operation
