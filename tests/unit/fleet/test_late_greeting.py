"""Greetings that arrive when their agents are gone: no sign of a copied host."""

from dataclasses import replace

import pytest
from pilotage_coordinator.fleet.admission import Marks
from pilotage_proto.v1 import fleet_pb2 as pb

from tests.unit.fleet.agent_items import hello, journal
from tests.unit.fleet.test_roster import Fleet


@pytest.mark.parametrize("end", ["hang_up", "lose"])
async def test_a_greeting_of_an_agent_that_was_killed_quarantines_nobody(end: str) -> None:
    fleet = Fleet()
    fleet.registry.hosts["host_db1"] = replace(fleet.registry.hosts["host_db1"], marks=Marks("jrn_1", 5, 3, 0))
    alive = fleet.connect(hello(instance="ins_new", counter=4, sequence=5), journal())
    await alive.until("welcome")
    late = fleet.connect(hello(instance="ins_killed", counter=3, sequence=5))
    getattr(late, end)()
    await fleet.ended()
    assert not fleet.registry.hosts["host_db1"].quarantine
    assert fleet.roster.online("db1")
    await fleet.end()


async def test_one_whose_agent_lives_does() -> None:
    fleet = Fleet()
    fleet.registry.hosts["host_db1"] = replace(fleet.registry.hosts["host_db1"], marks=Marks("jrn_1", 5, 3, 0))
    copy = fleet.connect(hello(instance="ins_copy", counter=3, sequence=5), journal())
    (refusal,) = await copy.until("refusal")
    assert refusal.reason == pb.REFUSAL_REASON_QUARANTINED
    await fleet.end()
