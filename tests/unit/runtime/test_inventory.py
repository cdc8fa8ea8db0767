"""The copy of the inventory in memory follows the store."""

from pilotage_coordinator.runtime.inventory import LiveInventory
from pilotage_coordinator.store.sqlite.inline import SimulatedDisk
from pilotage_coordinator.store.sqlite.store import open_simulated_store

from tests.contract.store.records import certificate, host, token
from tests.unit.runtime.test_executor import StoppedClock


async def test_a_host_that_joins_is_known_before_its_first_session() -> None:
    store = await open_simulated_store(SimulatedDisk(), now=0, new_id=lambda prefix: f"{prefix}_1")
    await store.enrolments.create(token())
    inventory = LiveInventory(store.hosts, StoppedClock())
    await inventory.load()
    assert list(inventory.snapshot()) == []
    await store.enrolments.consume("sha256:token", host("h1"), certificate("hst_h1"), 0)
    await inventory.reload("h1")
    assert list(inventory.snapshot()) == ["h1"]
    assert not inventory.online("h1")
    await store.close()
