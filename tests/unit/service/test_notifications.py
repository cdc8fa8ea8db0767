"""Notifications as people see them, and sending again what was given up."""

import pytest
from pilotage_coordinator.domain.notification import composed
from pilotage_coordinator.service.errors import Conflict, NotFound
from pilotage_coordinator.service.notifications import (
    ListNotifications,
    RetryNotification,
    list_notifications,
    retry_notification,
)
from pilotage_coordinator.store.records import GivenUp, NotificationRecord

from tests.contract.store.records import PLAN, change, creation
from tests.unit.service.desk import NOW, OWNER, Desk

IDS = tuple(f"ntf_{n:032x}" for n in range(3))


async def recorded(desk: Desk) -> None:
    await desk.store.plans.put(PLAN)
    await desk.store.executions.create(creation())
    message = composed("The disk is full", "Backup", "error", []).to_json()
    rows = tuple(NotificationRecord(id, "exe_1", "told", "", "", "ops", message, NOW) for id in IDS)
    await desk.store.executions.commit(change(notifications=rows))
    await desk.store.executions.commit(change(version=1, given_up=(GivenUp(IDS[1], 15, NOW, "404"),)))
    await desk.store.deliveries.delivered(IDS[2], 1, NOW)


async def test_they_are_listed_with_what_became_of_them(desk: Desk) -> None:
    await recorded(desk)
    page = await list_notifications(desk.services, OWNER, ListNotifications())
    assert [(each.id, each.state, each.attempts) for each in page.items] == [
        (IDS[2], "delivered", 1),
        (IDS[1], "dead", 15),
        (IDS[0], "waiting", 0),
    ]
    assert [bool(each.next_try_at) for each in page.items] == [False, False, True]
    dead = await list_notifications(desk.services, OWNER, ListNotifications(state="dead"))
    assert [(each.error, each.title, each.severity) for each in dead.items] == [("404", "Backup", "error")]
    first = await list_notifications(desk.services, OWNER, ListNotifications(limit=2))
    rest = await list_notifications(desk.services, OWNER, ListNotifications(limit=2, cursor=first.next))
    assert ([each.id for each in rest.items], rest.next) == ([IDS[0]], "")


async def test_a_dead_one_is_sent_again_and_that_is_audited(desk: Desk) -> None:
    await recorded(desk)
    again = await retry_notification(desk.services, OWNER, RetryNotification(notification=IDS[1]))
    assert (again.state, again.attempts) == ("waiting", 0)
    (entry,) = [each.entry for each in await desk.store.audit.read() if each.entry.operation == "notification.retry"]
    assert (entry.subject, entry.outcome, entry.principal) == (IDS[1], "allowed", OWNER.principal)
    with pytest.raises(Conflict, match="is delivered"):
        await retry_notification(desk.services, OWNER, RetryNotification(notification=IDS[2]))
    with pytest.raises(NotFound, match="there is no notification"):
        await retry_notification(desk.services, OWNER, RetryNotification(notification=IDS[0].replace("0", "f")))
