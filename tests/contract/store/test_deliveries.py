"""Notifications: recorded with the change of their execution, in order, until they are delivered or given up."""

from dataclasses import replace
from typing import Any

import pytest
from pilotage_coordinator.store.errors import Conflict, NotFound, Refused
from pilotage_coordinator.store.protocol import Store
from pilotage_coordinator.store.records import DeliveryFigures, DeliveryFilter, GivenUp, NotificationRecord

from tests.contract.store.conftest import Reopen
from tests.contract.store.records import NOW, audit, change, creation


def notification(id: str = "ntf_1", execution: str = "exe_1", channel: str = "ops", **more: Any) -> NotificationRecord:
    message = {"text": "ünï", "rows": [["a"]]}
    return replace(NotificationRecord(id, execution, "told", "", "", channel, message, NOW + 5), **more)


async def begun(store: Store, *notifications: NotificationRecord) -> None:
    """Make an execution that has recorded these."""
    await store.executions.create(creation())
    await store.executions.commit(change(notifications=notifications))


async def test_a_notification_is_due_at_once_and_survives(store: Store, reopen: Reopen) -> None:
    await begun(store, notification())
    store = await reopen()
    assert await store.deliveries.channels() == ("ops",)
    first = await store.deliveries.first("ops")
    assert first is not None
    assert first.notification == notification()
    assert (first.status, first.attempts, first.due_at, first.ended_at, first.error) == (
        "waiting",
        0,
        NOW + 5,
        None,
        "",
    )
    assert await store.deliveries.get("ntf_1") == first
    assert await store.deliveries.first("other") is None


async def test_a_change_that_is_not_stored_records_nothing(store: Store) -> None:
    await store.executions.create(creation())
    with pytest.raises(Conflict):
        await store.executions.commit(change(version=7, notifications=(notification(),)))
    assert await store.deliveries.channels() == ()


async def test_one_that_is_recorded_already_takes_the_whole_change_with_it(store: Store) -> None:
    await begun(store, notification())
    with pytest.raises(Conflict, match="recorded already"):
        await store.executions.commit(change(version=1, notifications=(notification("ntf_2"), notification())))
    assert (await store.executions.get("exe_1")).version == 1
    with pytest.raises(NotFound):
        await store.deliveries.get("ntf_2")


async def test_what_is_due_soonest_comes_first_but_no_message_overtakes_one_of_its_execution(store: Store) -> None:
    await begun(store, notification("ntf_1"), notification("ntf_2"), notification("ntf_3", channel="mail"))
    await store.executions.create(creation("exe_2"))
    await store.executions.commit(change("exe_2", notifications=(notification("ntf_4", "exe_2"),)))
    await store.deliveries.put_off("ntf_1", 1, NOW + 900, "refused")
    first = await store.deliveries.first("ops")
    assert first is not None
    assert first.notification.id == "ntf_4"
    await store.deliveries.delivered("ntf_4", 1, NOW + 10)
    first = await store.deliveries.first("ops")
    assert first is not None
    assert (first.notification.id, first.attempts, first.due_at, first.error) == ("ntf_1", 1, NOW + 900, "refused")
    await store.deliveries.delivered("ntf_1", 2, NOW + 901, "partly")
    ended = await store.deliveries.get("ntf_1")
    assert (ended.status, ended.attempts, ended.ended_at, ended.error) == ("delivered", 2, NOW + 901, "partly")
    assert [each and each.notification.id for each in (await store.deliveries.first("ops"),)] == ["ntf_2"]
    assert await store.deliveries.channels() == ("mail", "ops")


async def test_what_has_ended_takes_no_other_end(store: Store) -> None:
    await begun(store, notification())
    await store.deliveries.delivered("ntf_1", 1, NOW + 6)
    with pytest.raises(Conflict, match="does not wait"):
        await store.deliveries.delivered("ntf_1", 2, NOW + 7)
    with pytest.raises(Conflict, match="does not wait"):
        await store.deliveries.put_off("ntf_1", 2, NOW + 7, "late")
    with pytest.raises(Conflict, match="does not wait"):
        await store.executions.commit(change(version=1, given_up=(GivenUp("ntf_1", 9, NOW, "late"),)))
    assert (await store.executions.get("exe_1")).version == 1


async def test_a_dead_one_may_be_retried_and_no_other(store: Store) -> None:
    await begun(store, notification("ntf_1"), notification("ntf_2"))
    await store.executions.commit(change(version=1, given_up=(GivenUp("ntf_1", 15, NOW + 8, "gone"),)))
    dead = await store.deliveries.get("ntf_1")
    assert (dead.status, dead.attempts, dead.ended_at, dead.error) == ("dead", 15, NOW + 8, "gone")
    assert await store.deliveries.figures() == DeliveryFigures(waiting=1, failing=0, dead=1)
    await store.deliveries.retry("ntf_1", NOW + 50, (audit("notification.retry"),))
    assert [each.entry.operation for each in await store.audit.read()] == ["notification.retry"]
    again = await store.deliveries.first("ops")
    assert again is not None
    assert (again.notification.id, again.status, again.attempts, again.due_at) == ("ntf_1", "waiting", 0, NOW + 50)
    with pytest.raises(Refused, match="is waiting: it is tried by itself"):
        await store.deliveries.retry("ntf_1", NOW + 51, (audit("notification.retry"),))
    with pytest.raises(NotFound, match="notification list"):
        await store.deliveries.retry("ntf_9", NOW, (audit("notification.retry"),))
    assert len(await store.audit.read()) == 1


async def test_lists_are_newest_first_in_pages(store: Store) -> None:
    await begun(store, *(notification(f"ntf_{n}") for n in range(5)))
    await store.executions.create(creation("exe_2"))
    await store.executions.commit(change("exe_2", notifications=(notification("ntf_x", "exe_2"),)))
    await store.deliveries.put_off("ntf_x", 1, NOW + 9, "no")
    await store.deliveries.delivered("ntf_3", 1, NOW)
    page = await store.deliveries.find(limit=4)
    assert [each.notification.id for each in page.rows] == ["ntf_x", "ntf_4", "ntf_3", "ntf_2"]
    page = await store.deliveries.find(cursor=page.cursor, limit=4)
    assert ([each.notification.id for each in page.rows], page.cursor) == (["ntf_1", "ntf_0"], "")
    delivered = await store.deliveries.find(DeliveryFilter(status="delivered"))
    assert [each.notification.id for each in delivered.rows] == ["ntf_3"]
    of_one = await store.deliveries.find(DeliveryFilter(status="waiting", execution="exe_2"))
    assert [each.notification.id for each in of_one.rows] == ["ntf_x"]
    assert await store.deliveries.figures() == DeliveryFigures(waiting=5, failing=1, dead=0)


async def test_retention_takes_them_with_their_execution(store: Store) -> None:
    await begun(store, notification())
    over = replace(change(version=1), progress=replace(change().progress, status="completed", ended_at=NOW + 3))
    await store.executions.commit(over)
    assert (await store.executions.prune(NOW + 4)).executions == ("exe_1",)
    with pytest.raises(NotFound):
        await store.deliveries.get("ntf_1")
    assert await store.deliveries.channels() == ()
