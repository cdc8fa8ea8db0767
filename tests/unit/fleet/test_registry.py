"""What every registry promises: the one of the tests, and the one over the store."""

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from pilotage_coordinator.fleet.admission import Marks
from pilotage_coordinator.fleet.registry import Certificate, Host, NameTaken, Registry, Token, TokenSpent
from pilotage_coordinator.fleet.store_registry import StoreRegistry
from pilotage_coordinator.store.records import EnrolmentRecord
from pilotage_coordinator.store.sqlite.inline import SimulatedDisk
from pilotage_coordinator.store.sqlite.store import open_simulated_store

from tests.contract.store import records
from tests.unit.fleet.memory_registry import MemoryRegistry

NOW = 1_700_000_000_000_000
TOKEN = Token("d" * 64, NOW, NOW + 1_000, created_by="ada", labels={})


@dataclass
class Case:
    registry: Registry
    add_token: Callable[[Token], Awaitable[None]]
    revoke: Callable[[str], Awaitable[Any]]


@pytest.fixture(params=["memory", "store"])
async def case(request: pytest.FixtureRequest) -> AsyncIterator[Case]:
    if request.param == "memory":
        memory = MemoryRegistry()

        async def add(token: Token) -> None:
            memory.add_token(token)

        async def revoke(host_id: str) -> None:
            memory.revoke(host_id)

        yield Case(memory, add, revoke)
        return
    numbers = itertools.count(1)
    disk = SimulatedDisk()
    store = await open_simulated_store(disk, now=NOW, new_id=lambda prefix: f"{prefix}_{next(numbers)}")

    async def create(token: Token) -> None:
        await store.enrolments.create(
            EnrolmentRecord(token.digest, token.created_at, token.created_by, token.expires_at, token.name)
        )

    async def revoke_stored(host_id: str) -> None:
        await store.hosts.revoke(host_id, NOW)

    yield Case(StoreRegistry(store), create, revoke_stored)
    await store.close()
    disk.close()


def host(number: int, name: str) -> Host:
    return Host(f"host_{number}", name, f"{number:064x}", bytes([number]) * 32, NOW)


def certificate(number: int, host_number: int) -> Certificate:
    return Certificate(f"{number:x}", f"host_{host_number}", NOW, NOW + 10_000)


async def test_enrolment_spends_the_token_once(case: Case) -> None:
    assert await case.registry.token(TOKEN.digest) is None
    await case.add_token(TOKEN)
    assert await case.registry.token(TOKEN.digest) == TOKEN
    await case.registry.enrol(TOKEN, host(1, "db1"), certificate(1, 1), NOW)
    spent = await case.registry.token(TOKEN.digest)
    assert spent is not None
    assert spent.used_by == "host_1"
    assert await case.registry.host("host_1") == host(1, "db1")
    assert await case.registry.host("host_2") is None
    for second in (host(2, "db2"), Host("host_2", "db1", f"{1:064x}", bytes(32), NOW)):
        with pytest.raises(TokenSpent):
            await case.registry.enrol(TOKEN, second, certificate(2, 2), NOW)
        assert await case.registry.host("host_2") is None


async def test_a_name_is_free_again_after_revocation_but_not_before(case: Case) -> None:
    await case.add_token(TOKEN)
    await case.registry.enrol(TOKEN, host(1, "db1"), certificate(1, 1), NOW)
    second = Token("e" * 64, NOW, NOW + 1_000)
    await case.add_token(second)
    with pytest.raises(NameTaken):
        await case.registry.enrol(second, host(2, "db1"), certificate(2, 2), NOW)
    await case.revoke("host_1")
    await case.registry.enrol(second, host(2, "db1"), certificate(2, 2), NOW)
    revoked = await case.registry.host("host_1")
    assert revoked is not None
    assert revoked.revoked


async def test_denial_covers_all_certificates_of_a_host_and_unknown_ones(case: Case) -> None:
    await case.add_token(TOKEN)
    await case.registry.enrol(TOKEN, host(1, "db1"), certificate(1, 1), NOW)
    await case.registry.add_certificate(certificate(2, 1))
    assert [await case.registry.denied(serial) for serial in ("1", "2", "3")] == [False, False, True]
    assert await case.registry.deny_list(NOW) == frozenset()
    await case.revoke("host_1")
    assert [await case.registry.denied(serial) for serial in ("1", "2")] == [True, True]
    assert await case.registry.deny_list(NOW) == {"1", "2"}


async def test_marks_are_kept_until_the_host_loses_its_standing(case: Case) -> None:
    await case.add_token(TOKEN)
    await case.registry.enrol(TOKEN, host(1, "db1"), certificate(1, 1), NOW)
    marks = Marks("jrn_1", 5, 2, 7)
    assert await case.registry.remember("host_1", marks, "0.1.0", "boot", NOW)
    known = await case.registry.host("host_1")
    assert known is not None
    assert (known.marks, known.agent_version) == (marks, "0.1.0")
    assert await case.registry.remember("host_1", Marks("jrn_2", 0, 1, 0), "0.1.0", "boot", NOW)
    await case.registry.quarantine("host_1", "copied", NOW)
    await case.registry.quarantine("host_1", "again", NOW)
    known = await case.registry.host("host_1")
    assert known is not None
    assert known.quarantine == "copied"
    assert not await case.registry.remember("host_1", Marks("jrn_2", 9, 9, 9), "0.1.0", "boot", NOW)


async def test_a_quarantine_leaves_one_entry_in_the_audit_log() -> None:
    store = await open_simulated_store(SimulatedDisk(), now=NOW, new_id=lambda prefix: f"{prefix}_1")
    await store.enrolments.create(records.token())
    await store.enrolments.consume("sha256:token", records.host("web1"), records.certificate("hst_web1"), records.NOW)
    registry = StoreRegistry(store)
    await registry.quarantine("hst_web1", "copied", NOW)
    await registry.quarantine("hst_web1", "again", NOW)
    (row,) = await store.audit.read()
    assert (row.entry.operation, row.entry.subject, row.entry.detail) == (
        "host.quarantine",
        "web1",
        {"reason": "copied"},
    )
    await store.close()
