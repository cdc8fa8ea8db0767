from dataclasses import replace

import pytest
from pilotage_coordinator.store.errors import NotFound, Refused
from pilotage_coordinator.store.protocol import Store
from pilotage_coordinator.store.records import PlanRecord

from tests.contract.store.records import NOW, PLAN, audit, blueprint


async def test_a_version_reads_back_as_it_was_given(store: Store) -> None:
    assert await store.blueprints.put(blueprint(), audit=(audit("blueprint.add"),))
    assert await store.blueprints.get("backup", "1.0.0") == blueprint()
    assert (await store.audit.head()).sequence == 1


async def test_the_same_content_again_is_no_change(store: Store) -> None:
    await store.blueprints.put(blueprint())
    assert not await store.blueprints.put(blueprint(), audit=(audit(),))
    assert (await store.audit.head()).sequence == 0


async def test_a_published_version_never_changes(store: Store) -> None:
    await store.blueprints.put(blueprint())
    with pytest.raises(Refused, match="never change"):
        await store.blueprints.put(blueprint(digest="sha256:b"))
    with pytest.raises(Refused, match="draft again"):
        await store.blueprints.put(blueprint(draft=True))
    assert (await store.blueprints.get("backup", "1.0.0")).digest == "sha256:a"


async def test_a_draft_changes_until_it_is_published(store: Store) -> None:
    await store.blueprints.put(blueprint(draft=True))
    assert await store.blueprints.put(blueprint(digest="sha256:b", draft=True))
    assert await store.blueprints.put(blueprint(digest="sha256:b"))
    assert not (await store.blueprints.get("backup", "1.0.0")).draft
    with pytest.raises(Refused):
        await store.blueprints.put(blueprint(digest="sha256:c", draft=True))


@pytest.mark.parametrize("version", ["1", "1.0", "v1.0.0", "1.0.0 ", "01.0.0", "1.0.0-", ""])
async def test_a_version_must_be_semantic(store: Store, version: str) -> None:
    with pytest.raises(Refused, match="no semantic version"):
        await store.blueprints.put(blueprint(version))


async def test_the_newest_follows_semantic_precedence(store: Store) -> None:
    for version in ["1.9.0", "1.10.0", "1.10.1-rc.1", "2.0.0-alpha.2", "2.0.0-alpha.10", "2.0.0-alpha.beta"]:
        await store.blueprints.put(blueprint(version, digest=version))
    await store.blueprints.put(blueprint("1.11.0", draft=True))
    assert (await store.blueprints.newest("backup")).version == "1.10.0"
    assert (await store.blueprints.newest("backup", 1)).version == "1.10.0"
    assert (await store.blueprints.newest("backup", 1, drafts=True)).version == "1.11.0"
    assert (await store.blueprints.newest("backup", 2)).version == "2.0.0-alpha.beta"
    assert await store.blueprints.versions("backup") == (
        "2.0.0-alpha.beta",
        "2.0.0-alpha.10",
        "2.0.0-alpha.2",
        "1.11.0",
        "1.10.1-rc.1",
        "1.10.0",
        "1.9.0",
    )
    with pytest.raises(NotFound, match="backup@3"):
        await store.blueprints.newest("backup", 3)


async def test_what_is_not_there_is_named_with_what_is(store: Store) -> None:
    with pytest.raises(NotFound, match="there is no blueprint backup"):
        await store.blueprints.get("backup", "1.0.0")
    await store.blueprints.put(blueprint())
    with pytest.raises(NotFound, match=r"it has 1\.0\.0"):
        await store.blueprints.get("backup", "2.0.0")


async def test_the_list_has_one_line_for_each_blueprint(store: Store) -> None:
    await store.blueprints.put(blueprint("1.0.0"))
    await store.blueprints.put(blueprint("1.1.0", digest="sha256:b"))
    await store.blueprints.put(replace(blueprint("3.0.0"), id="patch"))
    lines = await store.blueprints.list()
    assert [(line.id, line.version, line.versions, line.name) for line in lines] == [
        ("backup", "1.1.0", 2, "Backup"),
        ("patch", "3.0.0", 1, "Backup"),
    ]


async def test_a_plan_keeps_its_content_and_takes_a_new_view(store: Store) -> None:
    assert await store.plans.get(PLAN.digest) == PLAN
    await store.plans.put(PlanRecord(PLAN.digest, {"other": 1}, {"title": "New"}, NOW + 1))
    assert await store.plans.get(PLAN.digest) == replace(PLAN, view={"title": "New"})
    with pytest.raises(NotFound, match="plan again"):
        await store.plans.get("sha256:none")
