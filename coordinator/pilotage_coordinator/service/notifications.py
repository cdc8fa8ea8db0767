"""Operations on notifications that steps have sent."""

from typing import Annotated, Any, Literal

from pilotage_coordinator.service.caller import Caller
from pilotage_coordinator.service.seen import shown
from pilotage_coordinator.service.services import Services
from pilotage_coordinator.service.verb import allowed, verb
from pilotage_coordinator.service.wire import Answer, ExecutionId, Page, PageRequest, Request, rfc3339, shaped
from pilotage_coordinator.store import errors as store_errors
from pilotage_coordinator.store.records import DeliveryFilter, DeliveryRecord

NotificationId = Annotated[
    str,
    *shaped(
        r"ntf_[0-9a-f]{32}",
        "this is no notification's id, which is ntf_ and 32 of 0-9 and a-f; `pilotage notification list` shows them",
    ),
]
State = Literal["waiting", "delivered", "dead"]


class ListNotifications(PageRequest):
    """Ask for notifications, newest first; of one state or one execution if given."""

    state: State | None = None
    execution: ExecutionId | None = None


class RetryNotification(Request):
    """Send one again that could not be delivered."""

    notification: NotificationId

    def subject(self) -> str:
        return self.notification


class NotificationAnswer(Answer):
    """A notification and its delivery; `next_try_at` is empty unless it waits, `ended_at` while it does."""

    id: str
    execution: str
    step: str
    host: str
    item: str
    channel: str
    severity: str
    title: str
    text: str
    recorded_at: str
    state: State
    attempts: int
    next_try_at: str
    ended_at: str
    error: str


@verb("notification.list")
async def list_notifications(
    services: Services, caller: Caller, request: ListNotifications
) -> Page[NotificationAnswer]:
    """List the notifications of steps, newest first, and what became of them."""
    chosen = DeliveryFilter(request.state or "", request.execution or "")

    async def seen(row: DeliveryRecord) -> bool:
        try:
            record = await services.store.executions.get(row.notification.execution)
        except store_errors.NotFound:
            return False
        return await services.subjects.sees_run(caller, "notification.read", record)

    rows, cursor = await shown(
        lambda cursor, limit: services.store.deliveries.find(chosen, cursor, limit),
        request,
        None if caller.unlimited("notification.read") else seen,
    )
    return Page(items=[_answer(each) for each in rows], next=cursor)


@verb("notification.retry")
async def retry_notification(services: Services, caller: Caller, request: RetryNotification) -> NotificationAnswer:
    """Send a notification again that could not be delivered."""
    audit = allowed(services, caller, "notification.retry", request.notification)
    return _answer(await services.notifications.retry(request.notification, audit=audit))


def _answer(row: DeliveryRecord) -> NotificationAnswer:
    notification = row.notification
    message: Any = notification.message
    state: Any = row.status
    return NotificationAnswer(
        id=notification.id,
        execution=notification.execution,
        step=notification.path,
        host=notification.host,
        item=notification.item,
        channel=notification.channel,
        severity=message["severity"],
        title=message["title"],
        text=message["text"],
        recorded_at=rfc3339(notification.recorded_at),
        state=state,
        attempts=row.attempts,
        next_try_at="" if row.ended_at else rfc3339(row.due_at),
        ended_at=rfc3339(row.ended_at or 0),
        error=row.error,
    )
