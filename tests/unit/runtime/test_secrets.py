"""Secrets at rest, their names, and the sensitive parameters that become secrets of one execution."""

from dataclasses import replace

import pytest
from pilotage_coordinator.domain.inventory import Host
from pilotage_coordinator.domain.plan import BlueprintRef, Json, PlannedStep, RollbackPlan, Rollout, StepKind
from pilotage_coordinator.domain.planning.every_step import all_steps
from pilotage_coordinator.domain.secret_grant import ANYBODY, grant_of
from pilotage_coordinator.runtime.secrets import (
    LARGEST_SECRET,
    SecretRefused,
    SecretUse,
    SecretVault,
    check_name,
    secret_names,
)
from pilotage_coordinator.runtime.sensitive import masked, referring, secret_name
from pilotage_coordinator.security.errors import SecurityError
from pilotage_coordinator.security.secrets import StoreCipher
from pilotage_coordinator.store.errors import Conflict
from pilotage_coordinator.store.records import BlueprintRecord
from pilotage_coordinator.store.sqlite.inline import SimulatedDisk
from pilotage_coordinator.store.sqlite.store import SqliteStore, open_simulated_store

from tests.unit.engine.build import call, leaf, plan


class StoppedClock:
    def now(self) -> int:
        return 1

    def monotonic(self) -> float:
        return 0.0


async def make_vault() -> tuple[SecretVault, SqliteStore]:
    """Make a vault over an empty store."""
    store = await open_simulated_store(SimulatedDisk(), now=1, new_id=lambda prefix: f"{prefix}_1")
    return SecretVault(store.secrets, store.blueprints, StoreCipher(b"k" * 32), StoppedClock()), store


async def test_a_secret_is_encrypted_at_rest_and_comes_back_whole() -> None:
    vault, store = await make_vault()
    value = b"\x00hunter2\xff"
    assert await vault.set("restic/db1", value, updated_by="anna")
    assert not await vault.set("restic/db1", value, updated_by="anna")
    record = await store.secrets.get("restic/db1")
    assert b"hunter2" not in record.ciphertext
    assert await vault.value("restic/db1") == value
    await store.close()


async def test_a_secret_that_is_set_again_is_given_anew_and_its_earlier_values_are_only_looked_for() -> None:
    vault, store = await make_vault()
    use = SecretUse(BlueprintRef("b", "1.0.0", "sha256:1"), "", "command.run")
    await vault.set("token", b"the first one", updated_by="anna", grants=(ANYBODY,))
    await vault.set("token", b"the second one", updated_by="bob")
    assert await vault.reveal("token", use) == b"the second one"
    assert await vault.values("token") == (b"the second one", b"the first one")
    await store.secrets.remove("token", 2)
    assert await vault.values("token") == (b"the second one", b"the first one")
    with pytest.raises(SecretRefused, match="there is no secret"):
        await vault.reveal("token", use)
    assert await vault.values("never") == ()
    await store.close()


async def test_a_value_goes_only_where_a_grant_covers_it() -> None:
    vault, store = await make_vault()
    grant = grant_of({"step_types": ["backup.*"], "blueprints": ["nightly"], "hosts": "role=db"})
    await vault.set("restic", b"hunter2", updated_by="anna", grants=(grant,))
    await store.blueprints.put(BlueprintRecord("nightly", "1.0.0", "sha256:1", "", {}, 1, "anna"))
    db = Host("hst_1", "db1", labels={"role": "db"})
    use = SecretUse(BlueprintRef("nightly", "1.0.0", "sha256:1"), "backup", "backup.create", db)
    assert await vault.reveal("restic", use) == b"hunter2"
    for other in (
        replace(use, step_type="command.run"),
        replace(use, host=Host("hst_2", "web1")),
        replace(use, host=None),
        # Somebody sends a text that calls itself by the name of a stored blueprint.
        replace(use, blueprint=BlueprintRef("nightly", "1.0.0", "sha256:2")),
        replace(use, blueprint=BlueprintRef("nightly", "1.0.1", "sha256:1")),
    ):
        with pytest.raises(SecretRefused, match="secret restic is not granted to"):
            await vault.reveal("restic", other)
    await store.secrets.grant("restic", (), (grant,), ())
    with pytest.raises(SecretRefused, match="pilotage secret grant restic --blueprint nightly"):
        await vault.reveal("restic", use)
    await store.close()


async def test_a_sensitive_parameter_goes_to_its_own_execution_only() -> None:
    vault, store = await make_vault()
    name = secret_name("exe_1", "", "password")
    await store.secrets.put(vault.encrypted(name, b"hunter2", updated_by="anna"), ())
    use = SecretUse(BlueprintRef("nightly", "1.0.0", "sha256:1"), "", "command.run", execution="exe_1")
    assert await vault.reveal(name, use) == b"hunter2"
    for other in ("exe_12", "exe_2", ""):
        with pytest.raises(SecretRefused, match="belongs to another execution"):
            await vault.reveal(name, replace(use, execution=other))
    await store.close()


async def test_a_new_value_keeps_the_grants_unless_others_are_given() -> None:
    vault, store = await make_vault()
    first, second = grant_of({"hosts": "role=db"}), grant_of({"hosts": "role=web"})
    await vault.set("key", b"1", updated_by="anna", grants=(first,))
    await vault.set("key", b"2", updated_by="anna")
    assert await vault.grants("key") == (first,)
    await vault.set("key", b"3", updated_by="anna", grants=(second,))
    assert await vault.grants("key") == (second,)
    with pytest.raises(Conflict):
        await store.secrets.grant("key", (), (first,), ())
    assert await vault.grants("nothing") is None
    await store.close()


async def test_a_ciphertext_is_bound_to_its_name() -> None:
    vault, store = await make_vault()
    await vault.set("mine", b"one", updated_by="anna")
    await store.secrets.put(replace(await store.secrets.get("mine"), name="yours"), ())
    with pytest.raises(SecurityError):
        await vault.value("yours")
    await store.close()


@pytest.mark.parametrize("value", [b"", b"x" * (LARGEST_SECRET + 1)])
async def test_a_secret_without_or_with_too_much_content_is_refused(value: bytes) -> None:
    vault, store = await make_vault()
    with pytest.raises(SecretRefused, match=r"bytes|empty"):
        await vault.set("name", value, updated_by="anna")
    await store.close()


async def test_a_secret_that_is_missing_says_how_to_store_it() -> None:
    vault, store = await make_vault()
    with pytest.raises(SecretRefused, match="pilotage secret set nothing"):
        await vault.value("nothing")
    await store.close()


@pytest.mark.parametrize("name", ["", "/", "a//b", "../a", "a/..", "ä", "a b", "a\n", "execution/exe_1/x", "x" * 201])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(SecretRefused):
        check_name(name)


@pytest.mark.parametrize("name", ["a", "restic/db1", "a.b-c_d/E9"])
def test_names(name: str) -> None:
    check_name(name)


def test_every_reference_in_a_tree_is_found() -> None:
    tree: dict[str, Json] = {
        "a": "secret://one",
        "b": [{"c": "secret://two/three"}, 7, None],
        "d": "no secret://here",
        "e": True,
    }
    assert secret_names(tree) == {"one", "two/three"}


def test_masked_parameters_become_references_at_every_call() -> None:
    hidden: dict[str, Json] = {"token": {"sensitive": "hmac-sha256:1"}, "plain": {"sensitive": 1, "other": 2}}
    inner = call("deep", [leaf("a", "h1")], arguments=hidden)
    referred = referring(plan(call("sub", [inner], arguments=hidden), parameters=hidden), "exe_1")
    assert referred.parameters["token"] == "secret://execution/exe_1/token"
    assert referred.parameters["plain"] == hidden["plain"]
    [sub] = referred.steps
    assert sub.kind is StepKind.CALL
    assert sub.arguments["token"] == "secret://" + secret_name("exe_1", "sub", "token")
    assert sub.steps[0].arguments["token"] == "secret://execution/exe_1/sub/deep/token"
    assert list(masked(hidden)) == ["token"]


def test_masked_parameters_become_references_wherever_a_step_stands() -> None:
    def hidden_call(name: str) -> PlannedStep:
        return call(name, [leaf("a", "h1")], arguments={"token": {"sensitive": "hmac-sha256:1"}})

    rollout = Rollout(refresh=(hidden_call("refresh"),), analysis=(hidden_call("analysis"),))
    step = replace(leaf("outer", "h1"), rollout=rollout, undo_steps=(hidden_call("undo"),))
    back = RollbackPlan((), (hidden_call("back"),))
    referred = referring(replace(plan(step), rollback=back), "exe_1")
    calls = [each for each in all_steps(referred) if each.kind is StepKind.CALL]
    assert len(calls) == 4
    assert all(each.arguments["token"] == f"secret://execution/exe_1/{each.path}/token" for each in calls)
