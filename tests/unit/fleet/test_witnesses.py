"""What hosts have seen of the audit log is compared with it, and shown to them."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from pilotage_coordinator.audit.entry import AuditHead
from pilotage_coordinator.audit.head import SignedHead, signed
from pilotage_coordinator.domain.fleet import SeenHead
from pilotage_coordinator.fleet.roster import Roster
from pilotage_coordinator.runtime.witnesses import Witnesses
from pilotage_coordinator.store.sqlite import SimulatedDisk, SqliteStore, open_simulated_store
from pilotage_proto.recovery import read_recovery
from pilotage_proto.v1 import fleet_pb2 as pb

from tests.contract.store.records import NOW, audit
from tests.unit.audit.logs import ENTRIES, audit_key
from tests.unit.fleet.agent_items import hello, journal
from tests.unit.fleet.test_roster import Fleet


class Clock:
    def now(self) -> int:
        return NOW

    def monotonic(self) -> float:
        return 0.0


@pytest.fixture
async def store() -> AsyncIterator[SqliteStore]:
    disk = SimulatedDisk()
    store = await open_simulated_store(disk, now=NOW, new_id=lambda prefix: f"{prefix}_1", signer=audit_key())
    await store.audit.append(*ENTRIES)
    yield store
    await store.close()
    disk.close()


@pytest.fixture
def witnesses(store: SqliteStore) -> Witnesses:
    return Witnesses(store.audit, audit_key(), "coo_1", Clock())


def seen(head: SignedHead) -> SeenHead:
    return SeenHead(head.log, head.sequence, head.hash, head.key, head.signature)


def gone(sequence: int) -> SeenHead:
    """A head that our key has signed, and that the log does not have."""
    return seen(signed("coo_1", AuditHead(sequence, "sha256:" + "d" * 64), audit_key()))


async def test_what_stands_on_the_log_is_fine_and_what_does_not_is_told(
    store: SqliteStore, witnesses: Witnesses
) -> None:
    newest = witnesses.newest
    assert newest is not None
    assert await witnesses.heard("h1", seen(newest)) == ""
    assert witnesses.seen == {"h1": newest}
    await store.audit.append(audit())
    assert await witnesses.heard("h1", seen(newest)) == ""
    assert "does not reach it" in await witnesses.heard("h2", gone(9))
    assert "another one there" in await witnesses.heard("h3", gone(2))
    assert await witnesses.heard("h4", None) == ""


async def test_a_head_that_our_key_did_not_sign_says_nothing(witnesses: Witnesses) -> None:
    lie = gone(9)
    for wrong in (
        SeenHead(lie.log, 10, lie.hash, lie.key, lie.signature),
        SeenHead("coo_2", lie.sequence, lie.hash, lie.key, lie.signature),
        SeenHead(lie.log, lie.sequence, lie.hash, b"x", b""),
    ):
        assert await witnesses.heard("h1", wrong) == ""
    assert witnesses.strange == {}


async def test_a_restore_names_the_furthest_head_that_was_lost_and_later_ones_when_they_come(
    store: SqliteStore, witnesses: Witnesses
) -> None:
    for host, sequence in (("h1", 9), ("h2", 7)):
        assert await witnesses.heard(host, gone(sequence))
    await witnesses.record(await store.audit.head())
    (record,) = witnesses.recoveries
    recovery = read_recovery(record.statement)
    assert (recovery.resumes, recovery.lost, record.signature) == (4, 9, "")
    assert await witnesses.heard("h1", gone(9)) == ""
    # Away when the hosts were heard, and further than they.
    assert await witnesses.heard("h3", gone(12)) == ""
    assert [read_recovery(each.statement).lost for each in witnesses.recoveries] == [9, 12]
    # Nothing that stood before the copy was made can be lost by it.
    assert await witnesses.heard("h4", gone(3))
    again = Witnesses(store.audit, audit_key(), "coo_1", Clock())
    await again.load()
    assert again.recoveries == witnesses.recoveries
    assert (await store.audit.newest(limit=1))[0].entry.operation == "coordinator.recovery"


async def test_a_session_shows_the_head_and_refuses_a_host_that_has_seen_more(
    store: SqliteStore, witnesses: Witnesses
) -> None:
    fleet = Fleet(epoch=7)
    fleet.roster = Roster(fleet.registry, fleet.settings, 7, lambda: fleet.now, lambda: "token", witnesses)
    fleet.roster.listen(fleet.listener)
    contradicts = hello()
    told = gone(9)
    contradicts.hello.witness.CopyFrom(
        pb.AuditHead(log=told.log, sequence=9, hash=told.hash, key=told.key, signature=told.signature)
    )
    (refusal,) = await fleet.connect(contradicts, journal()).until("refusal")
    assert (refusal.reason, refusal.retry) == (pb.REFUSAL_REASON_OLD_COORDINATOR, True)
    transport = fleet.connect(hello(counter=2), journal())
    (welcome,) = await transport.until("welcome")
    assert (welcome.audit_head.sequence, welcome.audit_head.log) == (4, "coo_1")
    await fleet.listener.until("ready")
    await store.audit.append(audit())
    fleet.roster.show_head()
    (head,) = await transport.until("audit_head")
    assert head.sequence == 5
    await store.audit.append(audit())
    fleet.roster.show_head()
    fleet.now += 61_000_000
    fleet.roster.show_head()
    await asyncio.sleep(0)
    assert [each.sequence for each in await transport.until("audit_head", 2)] == [5, 6]
    await fleet.end()
