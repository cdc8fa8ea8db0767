"""Principals, roles, grants and tokens."""

from dataclasses import replace

import pytest
from pilotage_coordinator.store.errors import NotFound, Refused
from pilotage_coordinator.store.protocol import Store
from pilotage_coordinator.store.records import GrantRecord, PrincipalRecord, RoleRecord, TokenRecord

from tests.contract.store.conftest import Reopen
from tests.contract.store.records import NOW, audit

ANN = PrincipalRecord("ann", "person", NOW, "ann", local_user="ann", keys=("ssh-ed25519 AAAA ann",))
BOT = PrincipalRecord("bot", "assistant", NOW, "ann", description="Reads.", sponsor="ann")
BACKUPS = {"categories": ["backup"], "environments": ["staging"]}
TOKEN = TokenRecord("tok_1", "sha256:one", "bot", "laptop", NOW, "ann", NOW + 1000)


async def world(store: Store) -> None:
    await store.access.add_principal(ANN, (GrantRecord("ann", "owner", NOW, "ann"),), (audit("principal.add"),))
    await store.access.add_principal(BOT)


async def test_a_principal_is_kept_with_what_it_holds_and_its_audit_entry(store: Store, reopen: Reopen) -> None:
    await world(store)
    store = await reopen()
    assert await store.access.principal("ann") == ANN
    assert await store.access.principals() == (ANN, BOT)
    assert [each.role for each in await store.access.grants("ann")] == ["owner"]
    assert [each.entry.operation for each in await store.audit.read()] == ["principal.add"]
    assert await store.access.local("ann") == ANN
    assert await store.access.local("bob") is None
    with pytest.raises(NotFound, match="no principal eve"):
        await store.access.principal("eve")


async def test_a_name_is_given_once_in_whatever_case(store: Store) -> None:
    await world(store)
    with pytest.raises(Refused, match="principal bot already"):
        await store.access.add_principal(replace(BOT, name="BOT"), audit=(audit("again"),))
    assert len(await store.audit.read()) == 1


async def test_a_principal_is_disabled_and_enabled_and_changes_its_keys(store: Store) -> None:
    await world(store)
    await store.access.disable("bot", NOW + 5, (audit("principal.disable"),))
    assert (await store.access.principal("bot")).disabled_at == NOW + 5
    with pytest.raises(Refused, match="disabled"):
        await store.access.add_token(TOKEN)
    await store.access.disable("bot", None)
    assert (await store.access.principal("bot")).disabled_at is None
    await store.access.set_keys("bot", ("ssh-ed25519 B",))
    assert (await store.access.principal("bot")).keys == ("ssh-ed25519 B",)
    for change in (store.access.disable("eve", NOW), store.access.set_keys("eve", ())):
        with pytest.raises(NotFound):
            await change


async def test_a_grant_is_told_by_its_role_and_limits(store: Store) -> None:
    await world(store)
    grant = GrantRecord("bot", "operator", NOW, "ann", BACKUPS)
    assert await store.access.grant(grant)
    assert not await store.access.grant(replace(grant, scope=dict(reversed(BACKUPS.items())), granted_at=NOW + 1))
    assert await store.access.grant(replace(grant, scope={}))
    assert {str(each.scope) for each in await store.access.grants("bot", "operator")} == {"{}", str(BACKUPS)}
    assert len(await store.access.grants(role="operator")) == 2
    assert await store.access.withdraw("bot", "operator", {"categories": ["other"]}, (audit("none"),)) == 0
    assert await store.access.withdraw("bot", "operator", BACKUPS, (audit("one"),)) == 1
    assert await store.access.withdraw("bot", "operator", None) == 1
    assert [each.entry.operation for each in await store.audit.read()] == ["principal.add", "one"]
    with pytest.raises(NotFound):
        await store.access.grant(replace(grant, principal="eve"))


async def test_a_role_is_kept_until_nobody_holds_it(store: Store) -> None:
    await world(store)
    role = RoleRecord("nightly", ("run.read", "run.start"), "Starts backups.", NOW, "ann")
    assert await store.access.put_role(role)
    assert not await store.access.put_role(replace(role, description="Starts."))
    assert (await store.access.role("nightly")).description == "Starts."
    await store.access.grant(GrantRecord("bot", "nightly", NOW, "ann"))
    assert (await store.access.holder("bot")).roles == (replace(role, description="Starts."),)
    with pytest.raises(Refused, match="held by bot"):
        await store.access.remove_role("nightly")
    await store.access.withdraw("bot", "nightly", None)
    await store.access.remove_role("nightly")
    assert await store.access.roles() == ()
    with pytest.raises(NotFound):
        await store.access.remove_role("nightly")


async def test_a_token_leads_to_its_holder_whatever_has_become_of_it(store: Store) -> None:
    await world(store)
    await store.access.grant(GrantRecord("bot", "assistant", NOW, "ann"))
    await store.access.add_token(TOKEN, (audit("token.create"),))
    found = await store.access.bearer("sha256:one")
    assert found is not None
    assert (found.principal, found.token) == (BOT, TOKEN)
    assert [each.role for each in found.grants] == ["assistant"]
    await store.access.revoke_token("tok_1", NOW + 7, "ann")
    found = await store.access.bearer("sha256:one")
    assert found is not None
    assert found.token == replace(TOKEN, revoked_at=NOW + 7, revoked_by="ann")
    assert await store.access.bearer("sha256:two") is None
    with pytest.raises(Refused, match="revoked already"):
        await store.access.revoke_token("tok_1", NOW + 8, "ann")
    with pytest.raises(NotFound):
        await store.access.revoke_token("tok_9", NOW, "ann")


async def test_rotation_ends_the_old_token_in_the_moment_the_new_one_begins(store: Store) -> None:
    await world(store)
    await store.access.add_token(TOKEN)
    new = replace(TOKEN, id="tok_2", hash="sha256:two", created_at=NOW + 3, created_by="bot")
    await store.access.rotate("tok_1", new)
    old = await store.access.token("tok_1")
    assert (old.revoked_at, old.revoked_by, old.replaced_by) == (NOW + 3, "bot", "tok_2")
    with pytest.raises(Refused):
        await store.access.rotate("tok_1", replace(new, id="tok_3", hash="sha256:three"))
    assert [each.id for each in await store.access.tokens("bot")] == ["tok_1", "tok_2"]


async def test_last_use_never_goes_back_and_expired_tokens_are_forgotten(store: Store) -> None:
    await world(store)
    await store.access.add_token(TOKEN)
    await store.access.used({"tok_1": NOW + 9, "tok_gone": NOW})
    await store.access.used({"tok_1": NOW + 4})
    assert (await store.access.token("tok_1")).last_used_at == NOW + 9
    assert await store.access.remove_expired(NOW + 999) == 0
    assert await store.access.remove_expired(NOW + 1000) == 1
    assert await store.access.tokens() == ()
