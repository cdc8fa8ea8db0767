"""Principals, roles and tokens as operations: nobody gives more than they hold, and what ends ends at once."""

from dataclasses import replace
from typing import Any

import pytest
from pilotage_coordinator.domain.access.grant import Grant
from pilotage_coordinator.domain.access.principal import PrincipalKind
from pilotage_coordinator.domain.access.role import BUILT_IN, Role
from pilotage_coordinator.domain.access.scope import scope_of
from pilotage_coordinator.service import api_tokens, principals, roles, whoami
from pilotage_coordinator.service.caller import Caller, Face
from pilotage_coordinator.service.errors import Conflict, Denied, Invalid, NotFound, Unauthenticated
from pilotage_coordinator.service.first_start import ensure_owner
from pilotage_coordinator.service.limits import Limits

from tests.unit.service.desk import DAY, KEY, NOW, OWNER, TOKEN, Desk

SECOND_KEY = KEY.replace("AAAAA bob", "AAAAB bob")


def person(*permissions: str, **limits: Any) -> Caller:
    """Return a person with a role of their own."""
    return Caller("pat", PrincipalKind.PERSON, (Grant(Role("own", frozenset(permissions)), scope_of(limits)),))


async def add(desk: Desk, caller: Caller = OWNER, **fields: Any) -> principals.PrincipalDetail:
    request = principals.AddPrincipal.model_validate({"principal": "eva", "kind": "person", **fields})
    return await principals.add_principal(desk.services, caller, request)


async def role(
    desk: Desk, principal: str, name: str, action: Any = "add", caller: Caller = OWNER, **limits: Any
) -> Any:
    request = principals.SetPrincipalRole(principal=principal, role=name, action=action, limits=Limits(**limits))
    return await principals.set_principal_role(desk.services, caller, request)


async def token(desk: Desk, principal: str, caller: Caller = OWNER, **fields: Any) -> api_tokens.ApiTokenMade:
    request = api_tokens.CreateToken(principal=principal, **fields)
    return await api_tokens.create_token(desk.services, caller, request)


async def test_the_owner_is_who_runs_the_coordinator_and_stays_it(desk: Desk) -> None:
    who = await whoami.whoami(desk.services, OWNER, whoami.AskWhoami())
    assert (who.principal, who.through, who.token, who.single_operator) == ("ann", "socket", "", True)
    with pytest.raises(Conflict, match="runs this coordinator"):
        await principals.disable_principal(desk.services, OWNER, principals.DisablePrincipal(principal="ann"))
    with pytest.raises(Conflict, match="runs this coordinator"):
        await role(desk, "ann", "owner", "remove")


async def test_the_first_start_makes_one_owner_and_the_next_none(desk: Desk) -> None:
    found = await ensure_owner(desk.store, NOW + 1, "ann", ())
    assert (found.name, found.created_at) == ("ann", NOW)
    assert await desk.audit() == []


@pytest.mark.parametrize(
    ("user", "name"),
    [
        ("carl", "carl"),
        ("uid:1000", "uid-1000"),
        ("DOM\\carl x", "DOM-carl-x"),
        ("pilotage", "pilotage-local"),
        ("éé", "owner"),
    ],
)
async def test_another_user_who_runs_it_gets_a_principal_of_its_own(desk: Desk, user: str, name: str) -> None:
    made = await ensure_owner(desk.store, NOW, user, ())
    assert (made.name, made.kind, made.local_user) == (name, "person", user)
    assert [each.role for each in await desk.store.access.grants(name)] == ["owner"]
    assert (await desk.audit())[-1] == ("principal.add", "allowed", name)


async def test_a_name_that_somebody_has_is_not_taken_over_by_a_system_user(desk: Desk) -> None:
    await desk.add_principals()
    assert (await ensure_owner(desk.store, NOW, "bot", ())).name == "bot-local"
    assert (await desk.store.access.principal("bot")).kind == "assistant"


async def test_a_principal_can_do_what_its_role_gives_and_an_assistant_less(desk: Desk) -> None:
    made = await add(desk, principal="gpt", kind="assistant", role="operator", sponsor="ann")
    assert made.roles == ["operator"]
    assert "run.control:own" in made.permissions
    assert {"host.write", "run.release", "run.control", "token.write:own"} & set(made.permissions) == set()
    assert (await add(desk, role="operator", limits={"categories": ["backup"]})).grants[0].scope == "category backup"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"principal": "ann"}, "already"),
        ({"principal": "ANN"}, "already"),
        ({"principal": "coordinator"}, "stands for the product"),
        ({"principal": "a b"}, "is no name"),
        ({"kind": "service", "sponsor": "nobody"}, "no principal nobody"),
        ({"kind": "service", "sponsor": "bot"}, "cannot be the sponsor"),
        ({"sponsor": "ann"}, "acts for itself"),
        ({"kind": "service", "keys": [KEY]}, "signs nothing"),
        ({"keys": ["ssh-dss AAAA"]}, "is not taken"),
        ({"role": "nosuch"}, "no role nosuch"),
        ({"limits": {"hosts": "role=db"}}, "no role that they limit"),
        ({"role": "operator", "limits": {"hosts": "role"}}, "cannot be read"),
    ],
)
async def test_what_cannot_be_added_is_refused_with_a_reason(desk: Desk, fields: dict[str, Any], words: str) -> None:
    await desk.add_principals()
    before = await desk.store.access.principals()
    with pytest.raises((Invalid, Conflict, NotFound), match=words):
        await add(desk, **fields)
    assert await desk.store.access.principals() == before


async def test_nobody_gives_more_than_they_hold(desk: Desk) -> None:
    await desk.add_principals()
    staff = person("principal.write", "token.write", "role.write", "run.*")
    await role(desk, "bob", "nightly", caller=staff)
    for denied in (
        role(desk, "bob", "owner", caller=staff),
        role(desk, "pat", "auditor", caller=staff),
        add(desk, caller=staff, role="operator"),
        token(desk, "ann", caller=staff),
        token(desk, "bot", caller=staff),
        principals.disable_principal(desk.services, staff, principals.DisablePrincipal(principal="bot")),
        roles.set_role(desk.services, staff, roles.SetRole(role="more", permissions=["run.start", "secret.write"])),
        roles.set_role(desk.services, staff, roles.SetRole(role="all", permissions=["*"])),
        principals.set_principal_keys(
            desk.services, staff, principals.SetPrincipalKeys(principal="ann", add=[SECOND_KEY])
        ),
    ):
        with pytest.raises(Denied, match="holds more than they do"):
            await denied
    assert [each.role for each in await desk.store.access.grants("bob")] == ["nightly"]


async def test_what_is_held_within_limits_is_given_within_them_only(desk: Desk) -> None:
    await desk.add_principals()
    # Principals themselves have nothing that limits could ask, so that somebody who may add them holds that for all.
    staff = Caller(
        "pat",
        PrincipalKind.PERSON,
        (
            Grant(Role("people", frozenset({"principal.write"}))),
            Grant(BUILT_IN["operator"], scope_of({"environments": ["staging"]})),
        ),
    )
    await role(desk, "bob", "operator", caller=staff, environments=["staging"], categories=["backup"])
    for limits in ({}, {"environments": ["production"]}, {"categories": ["backup"]}):
        with pytest.raises(Denied, match="holds more"):
            await role(desk, "bob", "operator", caller=staff, **limits)


@pytest.mark.parametrize("kind", [PrincipalKind.SERVICE, PrincipalKind.ASSISTANT])
async def test_services_and_assistants_give_nothing(desk: Desk, kind: PrincipalKind) -> None:
    await desk.add_principals()
    await role(desk, "bob", "nightly")
    caller = Caller("svc", kind, (Grant(BUILT_IN["owner"]),), token=TOKEN, token_expires_at=NOW + DAY)
    for denied in (
        role(desk, "svc", "nightly", caller=caller),
        token(desk, "bob", caller=caller, life=60),
        add(desk, caller=caller, role="nightly"),
        roles.set_role(desk.services, caller, roles.SetRole(role="mine", permissions=["run.read"])),
    ):
        with pytest.raises(Denied):
            await denied


async def test_a_role_goes_by_its_limits_or_wholly(desk: Desk) -> None:
    await desk.add_principals()
    await role(desk, "bob", "operator")
    found = await role(desk, "bob", "operator", categories=["backup"])
    assert {each.scope for each in found.grants} == {"everything", "category backup"}
    assert len((await role(desk, "bob", "operator", "remove", categories=["backup"])).grants) == 1
    with pytest.raises(Conflict, match=r"does not hold the role operator limited to category backup"):
        await role(desk, "bob", "operator", "remove", categories=["backup"])
    assert (await role(desk, "bob", "operator", "remove")).grants == []
    with pytest.raises(NotFound):
        await role(desk, "nobody", "operator", "remove")


async def test_a_role_of_ones_own_holds_for_its_holders_at_once(desk: Desk) -> None:
    text = await desk.add_principals()
    await role(desk, "bot", "nightly")
    await role(desk, "bot", "assistant", "remove")
    assert not (await desk.authentication.bearer(text, Face.HTTPS)).might("log.read")
    await roles.set_role(desk.services, OWNER, roles.SetRole(role="nightly", permissions=["log.read"]))
    assert (await desk.authentication.bearer(text, Face.HTTPS)).might("log.read")
    with pytest.raises(Conflict, match="held by bot"):
        await roles.remove_role(desk.services, OWNER, roles.RemoveRole(role="nightly"))
    shown = await roles.show_role(desk.services, OWNER, roles.ShowRole(role="nightly"))
    assert (shown.operations, shown.holders) == (["logs.read", "logs.follow"], ["bot"])


@pytest.mark.parametrize(
    ("name", "permissions", "words"),
    [
        ("owner", ["run.read"], "built in"),
        ("mine", ["run.strat"], "did you mean|gives nothing"),
        ("mine", ["rum.*"], "gives nothing"),
        ("mine", ["everything"], "is no permission"),
    ],
)
async def test_a_role_that_cannot_be_is_refused(desk: Desk, name: str, permissions: list[str], words: str) -> None:
    with pytest.raises((Conflict, Invalid), match=words):
        await roles.set_role(desk.services, OWNER, roles.SetRole(role=name, permissions=permissions))


async def test_roles_are_listed_in_parts(desk: Desk) -> None:
    await desk.add_principals()
    first = await roles.list_roles(desk.services, OWNER, roles.ListRoles(limit=6))
    rest = await roles.list_roles(desk.services, OWNER, roles.ListRoles(limit=6, cursor=first.next))
    assert [each.role for each in [*first.items, *rest.items]] == [*BUILT_IN, "nightly", "unused"]
    assert rest.next == ""


async def test_keys_are_added_at_the_coordinator_itself_only(desk: Desk) -> None:
    await desk.add_principals()
    stolen = Caller("ann", PrincipalKind.PERSON, OWNER.grants, Face.HTTPS, TOKEN, NOW + DAY)
    request = principals.SetPrincipalKeys(principal="bob", add=[KEY])
    with pytest.raises(Denied, match="with no token"):
        await principals.set_principal_keys(desk.services, stolen, request)
    with pytest.raises(Denied, match="with no token"):
        await add(desk, caller=stolen, keys=[KEY])
    (key,) = (await principals.set_principal_keys(desk.services, OWNER, request)).keys
    again = await principals.set_principal_keys(desk.services, OWNER, request)
    assert [each.fingerprint for each in again.keys] == [key.fingerprint]
    removal = principals.SetPrincipalKeys(principal="bob", remove=[key.fingerprint])
    assert (await principals.set_principal_keys(desk.services, stolen, removal)).keys == []
    with pytest.raises(Invalid, match="has no key"):
        await principals.set_principal_keys(desk.services, OWNER, removal)


async def test_one_person_alone_is_told_and_a_second_ends_that(desk: Desk) -> None:
    assert await whoami.persons(desk.services) == ("ann",)
    await add(desk, principal="gpt", kind="assistant")
    assert await whoami.persons(desk.services) == ("ann",)
    await add(desk)
    assert await whoami.persons(desk.services) == ("ann", "eva")
    await principals.disable_principal(desk.services, OWNER, principals.DisablePrincipal(principal="eva"))
    assert await whoami.persons(desk.services) == ("ann",)


async def test_a_token_is_shown_once_and_kept_as_a_hash(desk: Desk) -> None:
    await desk.add_principals()
    made = await token(desk, "bob", name="laptop")
    assert made.expires_at > made.created_at
    rows = await api_tokens.list_tokens(desk.services, OWNER, api_tokens.ListTokens(principal="bob"))
    assert [each.token for each in rows.items] == [made.token]
    everything = repr(desk.disk.connection.serialize()) + repr(await desk.store.audit.read())
    assert made.text not in everything
    assert made.text[4:47] not in everything


async def test_a_token_made_with_a_token_ends_no_later(desk: Desk) -> None:
    await desk.add_principals()
    caller = Caller("ann", PrincipalKind.PERSON, OWNER.grants, Face.HTTPS, TOKEN, NOW + DAY)
    with pytest.raises(Denied, match="ends no later"):
        await token(desk, "bob", caller=caller, life=2 * 24 * 3600)
    assert (await token(desk, "bob", caller=caller, life=3600)).text.startswith("plt_")


async def test_rotation_gives_a_new_token_and_ends_the_old_in_one_moment(desk: Desk) -> None:
    text = await desk.add_principals()
    made = await api_tokens.rotate_token(desk.services, OWNER, api_tokens.NamedToken(token=TOKEN))
    with pytest.raises(Unauthenticated, match="was revoked"):
        await desk.authentication.bearer(text, Face.HTTPS)
    assert (await desk.authentication.bearer(made.text, Face.HTTPS)).principal == "bot"
    old = next(
        each
        for each in (await api_tokens.list_tokens(desk.services, OWNER, api_tokens.ListTokens())).items
        if each.token == TOKEN
    )
    assert (old.state, old.replaced_by) == ("revoked", made.token)
    with pytest.raises(Conflict, match="revoked already"):
        await api_tokens.rotate_token(desk.services, OWNER, api_tokens.NamedToken(token=TOKEN))


@pytest.mark.parametrize("issued", [True, False])
async def test_a_token_rotated_with_another_ends_no_later_than_that_one(desk: Desk, issued: bool) -> None:
    await desk.add_principals()
    shown, soon = ("jwt_1" if issued else "tok_9"), NOW + 300_000_000
    caller = Caller("ann", PrincipalKind.PERSON, OWNER.grants, Face.HTTPS, shown, soon, issued=issued)
    made = await api_tokens.rotate_token(desk.services, caller, api_tokens.NamedToken(token=TOKEN))
    assert (await desk.store.access.token(made.token)).expires_at == soon


async def test_an_issued_identity_rotates_nothing_into_a_longer_life_whatever_it_is_called(desk: Desk) -> None:
    await desk.add_principals()
    caller = Caller("bot", PrincipalKind.PERSON, OWNER.grants, Face.HTTPS, TOKEN, NOW + 1, issued=True)
    made = await api_tokens.rotate_token(desk.services, caller, api_tokens.NamedToken(token=TOKEN))
    assert (await desk.store.access.token(made.token)).expires_at == NOW + 1


async def test_a_token_that_rotates_itself_and_the_owner_without_one_keep_the_length_of_its_life(desk: Desk) -> None:
    await desk.add_principals()
    old = await desk.store.access.token(TOKEN)
    late = replace(old, id="tok_" + "0" * 31 + "2", hash="of another", created_at=NOW - DAY, expires_at=NOW + 1)
    await desk.store.access.add_token(late)
    itself = Caller("ann", PrincipalKind.PERSON, OWNER.grants, Face.HTTPS, late.id, late.expires_at)
    for caller, rotated in ((itself, late), (OWNER, old)):
        made = await api_tokens.rotate_token(desk.services, caller, api_tokens.NamedToken(token=rotated.id))
        row = await desk.store.access.token(made.token)
        assert row.expires_at - row.created_at == rotated.expires_at - rotated.created_at


async def test_somebody_who_may_only_see_their_own_tokens_sees_no_other(desk: Desk) -> None:
    await desk.add_principals()
    await token(desk, "bob")
    operator = Caller("bob", PrincipalKind.PERSON, (Grant(BUILT_IN["operator"]),))
    listed = await api_tokens.list_tokens(desk.services, operator, api_tokens.ListTokens())
    assert {each.principal for each in listed.items} == {"bob"}
    seen = await principals.list_principals(desk.services, operator, principals.ListPrincipals())
    assert [each.principal for each in seen.items] == ["bob"]
    with pytest.raises(Denied):
        await api_tokens.revoke_token(desk.services, operator, api_tokens.NamedToken(token=TOKEN))
