"""Queries to one agent that wait for their answers."""

import asyncio
from collections.abc import Callable

from pilotage_proto.limits import LARGEST_ITEM
from pilotage_proto.v1 import fleet_pb2 as pb

from pilotage_coordinator.domain.fleet import Query, QueryAnswer
from pilotage_coordinator.fleet.oversize import unanswerable
from pilotage_coordinator.fleet.settings import SessionSettings
from pilotage_coordinator.fleet.wire import write_query
from pilotage_coordinator.runtime.fleet_port import HostUnreachable
from pilotage_coordinator.security.sealing import query_context, seal


class Questions:
    """The queries of one session: bounded in number and time, lost with the session."""

    def __init__(
        self,
        host: str,
        sealing_key: bytes,
        settings: SessionSettings,
        token: Callable[[], str],
        send: Callable[[pb.CoordinatorItem], None],
    ) -> None:
        """`token` gives unique texts for the queries' ids."""
        self._host = host
        self._sealing_key = sealing_key
        self._settings = settings
        self._token = token
        self._send = send
        self._waiting: dict[str, asyncio.Future[QueryAnswer]] = {}

    async def ask(self, query: Query) -> QueryAnswer:
        """Ask, and wait for the answer; raises HostUnreachable. The plain secrets of `query` are sealed here."""
        if len(self._waiting) >= self._settings.most_queries:
            raise HostUnreachable(f"{self._host} has {len(self._waiting)} unanswered queries; ask again later")
        query_id = "qry_" + self._token()
        secrets = {
            name: seal(self._sealing_key, value, query_context(query_id, name)) for name, value in query.secrets.items()
        }
        answer: asyncio.Future[QueryAnswer] = asyncio.get_running_loop().create_future()
        self._waiting[query_id] = answer
        seconds = query.timeout / 1_000_000 or self._settings.query_seconds
        try:
            item = write_query(query_id, query, secrets)
            if (size := item.ByteSize()) > LARGEST_ITEM:
                return unanswerable(query, size)
            self._send(item)
            async with asyncio.timeout(seconds):
                return await answer
        except TimeoutError:
            raise HostUnreachable(
                f"{self._host} did not answer a query about {query.step_type} in {seconds:g} s"
            ) from None
        finally:
            del self._waiting[query_id]

    def answered(self, query_id: str, answer: QueryAnswer) -> None:
        """Take an answer; one that nobody waits for any more is dropped."""
        waiting = self._waiting.get(query_id)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)

    def lose(self, reason: str) -> None:
        """The session ended: nobody will answer."""
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(HostUnreachable(f"{self._host} lost its session: {reason}"))
