"""After a restore every host is heard before any gets a session, and certificates that were forgotten are good."""

import asyncio
import itertools
from collections.abc import AsyncIterator

import pytest
from pilotage_coordinator.fleet.muster import LARGEST_CLAIM, Muster
from pilotage_coordinator.fleet.peer import Peer
from pilotage_proto.v1 import fleet_pb2 as pb

from tests.unit.fleet.agent_items import hello, journal
from tests.unit.fleet.memory_transport import MemoryTransport
from tests.unit.fleet.test_roster import PATIENT, Fleet


@pytest.fixture
async def fleet() -> AsyncIterator[Fleet]:
    fleet = Fleet(epoch=7)
    fleet.add("db2")
    numbers = itertools.count(1)
    fleet.roster = Muster(
        fleet.registry, PATIENT, 7, lambda: fleet.now, lambda: f"token{next(numbers)}", ["db1", "db2"]
    )
    fleet.roster.listen(fleet.listener)
    yield fleet
    await fleet.end()


def muster(fleet: Fleet) -> Muster:
    assert isinstance(fleet.roster, Muster)
    return fleet.roster


async def test_every_host_is_heard_and_none_gets_a_session(fleet: Fleet) -> None:
    gathering = asyncio.create_task(muster(fleet).gather(30))
    for name, epoch in (("db1", 40), ("db2", 12)):
        transport = fleet.connect(hello(highest_epoch=epoch), journal(), name=name)
        (refusal,) = await transport.until("refusal")
        assert (refusal.reason, refusal.retry) == (pb.REFUSAL_REASON_STALE_SESSION, True)
        assert not transport.of("welcome")
    async with asyncio.timeout(5):
        assert await gathering == 40
    assert fleet.listener.calls == []


async def test_who_is_away_is_not_waited_for_for_ever(fleet: Fleet) -> None:
    transport = fleet.connect(hello(highest_epoch=40), journal())
    await transport.until("refusal")
    assert await muster(fleet).gather(0.0) == 40
    assert muster(fleet).missing == {"db2"}


async def test_an_epoch_that_nobody_can_have_reached_is_not_believed(fleet: Fleet) -> None:
    transport = fleet.connect(hello(highest_epoch=8 + LARGEST_CLAIM), journal())
    (refusal,) = await transport.until("refusal")
    assert refusal.reason == pb.REFUSAL_REASON_BAD_MESSAGE
    assert await muster(fleet).gather(0.0) == 0
    assert muster(fleet).missing == {"db1", "db2"}


@pytest.mark.parametrize("restored", [True, False])
async def test_a_certificate_that_was_issued_after_the_backup_is_good_after_a_restore_only(restored: bool) -> None:
    fleet = Fleet(epoch=7)
    fleet.registry.restored = restored
    transport = MemoryTransport()
    transport.say(hello(), journal())
    stream = asyncio.create_task(fleet.roster.serve(Peer("host_db1", "db1", "issued since", 10_000), transport))
    fleet.streams.append(stream)
    await transport.until("welcome" if restored else "refusal")
    assert ("issued since" in fleet.registry.certificates) == restored
    await fleet.end()


@pytest.mark.parametrize("wrong", ["revoked", "denied", "unknown"])
async def test_what_was_shut_out_stays_out_after_a_restore(wrong: str) -> None:
    fleet = Fleet(epoch=7)
    fleet.registry.restored = True
    if wrong == "revoked":
        fleet.registry.revoke("host_db1")
    else:
        fleet.registry.deny("serial_db1")
    peer = Peer("host_db9" if wrong == "unknown" else "host_db1", "db1", "serial_db1", 10_000)
    transport = MemoryTransport()
    transport.say(hello(), journal())
    fleet.streams.append(asyncio.create_task(fleet.roster.serve(peer, transport)))
    (refusal,) = await transport.until("refusal")
    assert refusal.reason == pb.REFUSAL_REASON_REVOKED
    await fleet.end()
