"""`subscriptions/listen`: a stream that tells when an execution has changed, so that the client reads it again.

What it tells is an address and nothing else; what is there is read as ever, with everything that is asked then.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any, Final

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.subscriptions import SUBSCRIPTION_ID_META_KEY
from mcp.shared.exceptions import MCPError

from pilotage_coordinator.mcp import refusal
from pilotage_coordinator.mcp.address import execution_of
from pilotage_coordinator.mcp.client import Client, Identify
from pilotage_coordinator.service import executions
from pilotage_coordinator.service.errors import ServiceError

MOST: Final = 16
"""Executions of one stream."""
RECHECK: Final = 5.0
"""Seconds after which it is asked again whether whoever listens still may."""


class SubscriptionHandlers:
    """Tells of changes for as long as the client listens, or until everything listened to has ended."""

    def __init__(self, identify: Identify) -> None:
        """Take what tells who is behind a request."""
        self._identify = identify

    async def listen(
        self, context: ServerRequestContext[Any, Any], params: types.SubscriptionsListenRequestParams
    ) -> types.SubscriptionsListenResult:
        """Acknowledge what can be told, then tell it. Lists of tools and prompts never tell: they follow the roles."""
        client = self._identify(context)
        client.note("subscription")
        if context.request_id is None:
            raise MCPError(types.INVALID_REQUEST, "subscriptions/listen is a request, and needs an id")
        wanted = params.notifications.resource_subscriptions or []
        followed = {str(uri): id for uri in wanted if (id := execution_of(str(uri))) is not None}
        if not client.has("get_workflow_status"):
            followed = {}
        if len(followed) > MOST:
            raise MCPError(types.INVALID_PARAMS, f"one stream tells of at most {MOST} executions")
        meta: dict[str, Any] = {SUBSCRIPTION_ID_META_KEY: context.request_id}
        async with contextlib.AsyncExitStack() as stack:
            try:
                streams = {uri: await _changes(client, id, stack) for uri, id in followed.items()}
            except ServiceError as error:
                raise MCPError(types.INVALID_PARAMS, refusal.of_service("subscriptions/listen", error)) from error
            honoured = types.SubscriptionFilter(resource_subscriptions=list(followed) or None)
            told = types.SubscriptionsAcknowledgedNotificationParams(notifications=honoured, _meta=meta)
            await context.session.send_notification(
                types.SubscriptionsAcknowledgedNotification(params=told), related_request_id=context.request_id
            )
            await _tell(context, client, streams, meta)
        return types.SubscriptionsListenResult(_meta=meta)


async def _changes(
    client: Client, execution: str, stack: contextlib.AsyncExitStack
) -> AsyncGenerator[executions.WatchAnswer, None]:
    """Return the changes from now on; raises ServiceError for an execution that the caller may not see."""
    run = await executions.show_run(client.services, client.caller, executions.ShowRun(execution=execution))
    asked = executions.WatchRun(execution=execution, after=run.sequence)
    answers = await executions.watch_run(client.services, client.caller, asked)

    async def events() -> AsyncGenerator[executions.WatchAnswer, None]:
        async for each in answers:
            yield each

    made = events()
    stack.push_async_callback(made.aclose)
    return made


async def _tell(
    context: ServerRequestContext[Any, Any],
    client: Client,
    streams: dict[str, AsyncGenerator[executions.WatchAnswer, None]],
    meta: dict[str, Any],
) -> None:
    """Tell of changes until every stream has ended, or whoever listens no longer may."""
    waiting = {asyncio.ensure_future(anext(stream, None)): uri for uri, stream in streams.items()}
    try:
        while waiting:
            done, _ = await asyncio.wait(waiting, timeout=RECHECK, return_when=asyncio.FIRST_COMPLETED)
            caller = await client.again()
            for task in done:
                uri = waiting.pop(task)
                answer = task.result()
                if answer is None:
                    continue
                waiting[asyncio.ensure_future(anext(streams[uri], None))] = uri
                if answer.event is not None:
                    changed = types.ResourceUpdatedNotificationParams(uri=uri, _meta=meta)
                    await context.session.send_notification(
                        types.ResourceUpdatedNotification(params=changed), related_request_id=context.request_id
                    )
            for uri in set(waiting.values()):
                asked = executions.WatchRun(execution=execution_of(uri) or "")
                await executions.watch_run.still(client.services, caller, asked)
    except ServiceError:
        # Roles change and tokens end; the stream then ends as one does whose subject has ended.
        return
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
