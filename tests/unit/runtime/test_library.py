"""The stored blueprints: what cannot be read is told, a file is stored whole, and nothing of it on the event loop."""

import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from pilotage_coordinator.domain.blueprint.errors import BlueprintError
from pilotage_coordinator.domain.plan import BlueprintRef
from pilotage_coordinator.domain.planning.errors import BlueprintUnreadable
from pilotage_coordinator.runtime import library as module
from pilotage_coordinator.runtime.inventory import LiveInventory
from pilotage_coordinator.runtime.library import Library
from pilotage_coordinator.store.errors import Refused
from pilotage_coordinator.store.records import AuditEntry, BlueprintRecord
from pilotage_coordinator.store.sqlite.inline import SimulatedDisk
from pilotage_coordinator.store.sqlite.store import SqliteStore, open_simulated_store

FILE = """
pilotage: 1
workflows:
  one: {version: "1.0.0", steps: [{id: a, type: gate.pause}]}
  two: {version: "%s", steps: [{id: a, type: gate.pause}]}
"""
AUDIT = AuditEntry(1, "anna", "blueprint.add", "file", "allowed")


class StoppedClock:
    def now(self) -> int:
        return 1

    def monotonic(self) -> float:
        return 0.0


@dataclass
class Site:
    store: SqliteStore

    def library(self) -> Library:
        return Library(self.store.blueprints, LiveInventory(self.store.hosts, StoppedClock()), {}, StoppedClock())

    async def audited(self) -> int:
        return len(await self.store.audit.read())


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    store = await open_simulated_store(SimulatedDisk(), now=0, new_id=lambda prefix: f"{prefix}_1")
    yield Site(store)
    await store.close()


def from_the_future(version: str) -> BlueprintRecord:
    """A version that a newer coordinator has stored."""
    return BlueprintRecord("one", version, f"sha256:{version}", "pilotage: 2\nspells: []", {}, 1, "anna")


async def test_a_newest_version_that_cannot_be_read_is_told_and_no_older_one_runs(site: Site) -> None:
    first = site.library()
    await first.add(FILE % "1.0.0", "f", added_by="anna")
    await site.store.blueprints.put(from_the_future("1.1.0"))
    library = site.library()
    await library.load()
    said = "blueprint one@1.1.0 is stored, and this version of Pilotage cannot read it"
    with pytest.raises(BlueprintUnreadable, match=said):
        library.newest("one", 1)
    with pytest.raises(BlueprintUnreadable, match="upgrade the coordinator"):
        await library.get("one", "")
    with pytest.raises(BlueprintUnreadable):
        library.exact(BlueprintRef("one", "1.1.0", "sha256:1.1.0"))
    assert (await library.get("one", "1.0.0")).ref.version == "1.0.0"
    assert (found := library.newest("two", 1)) is not None
    assert found.ref.version == "1.0.0"
    await library.add((FILE % "1.0.0").replace('one: {version: "1.0.0"', 'one: {version: "1.2.0"'), "f", added_by="a")
    assert (found := library.newest("one", 1)) is not None
    assert found.ref.version == "1.2.0"


async def test_an_older_version_that_cannot_be_read_is_in_nobodys_way(site: Site) -> None:
    await site.store.blueprints.put(from_the_future("0.9.0"))
    await site.store.blueprints.put(from_the_future("1.0.0-rc1"))
    library = site.library()
    await library.load()
    await library.add(FILE % "1.0.0", "f", added_by="anna")
    assert (found := library.newest("one", 1)) is not None
    assert found.ref.version == "1.0.0"


async def test_a_file_is_stored_whole_with_one_audit_entry(site: Site) -> None:
    library = site.library()
    before = await site.audited()
    records = await library.add(FILE % "1.0.0", "f", added_by="anna", audit=(AUDIT,))
    assert [each.id for each in records] == ["one", "two"]
    assert await site.audited() == before + 1
    await library.add(FILE % "1.0.0", "f", added_by="anna", audit=(AUDIT,))
    assert await site.audited() == before + 1


async def test_a_file_of_which_one_is_refused_stores_none(site: Site) -> None:
    library = site.library()
    two = FILE.replace("one:", "zero:") % "1.0.0"
    await library.add(two, "f", added_by="anna")
    before = await site.audited()
    other = (FILE % "1.0.0").replace("{id: a, type: gate.pause}]}\n  two", "{id: a, type: gate.pause}]}\n  two", 1)
    other = other.replace('two: {version: "1.0.0", steps: [{id: a', 'two: {version: "1.0.0", steps: [{id: b')
    with pytest.raises(Refused, match=r"two@1\.0\.0 is published with other content"):
        await library.add(other, "f", added_by="anna", audit=(AUDIT,))
    assert await site.store.blueprints.versions("one") == ()
    assert library.newest("one", 1) is None
    assert await site.audited() == before


async def test_yaml_is_never_read_or_written_on_the_loop(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    here = threading.current_thread()
    called: set[str] = set()

    def elsewhere(name: str) -> Any:
        real = getattr(module, name)

        def call(*arguments: Any, **named: Any) -> Any:
            assert threading.current_thread() is not here, name
            called.add(name)
            return real(*arguments, **named)

        return call

    names = {"load_blueprints", "expand", "to_json", "content_digest"}
    for name in names:
        monkeypatch.setattr(module, name, elsewhere(name))
    library = site.library()
    await library.add_shipped([("one.yaml", FILE % "1.0.0")])
    (one, _) = await library.read(FILE % "1.0.0", "f")
    await library.expand(one)
    await site.library().load()
    with pytest.raises(BlueprintError):
        await library.add("workflows: [", "f", added_by="anna")
    assert called == names
