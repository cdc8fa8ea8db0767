"""A session's transport over a gRPC stream."""

from collections.abc import Sequence
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from pilotage_proto.v1 import fleet_pb2 as pb

from pilotage_coordinator.fleet.errors import BadMessage, TransportLost
from pilotage_coordinator.fleet.wire import write_message

# A dead call fails in many ways, some with exceptions that grpc keeps private; all mean the same here.
_LOST = Exception


class GrpcTransport:
    """The server's end of one Session call."""

    def __init__(self, context: "grpc.aio.ServicerContext[Any, Any]") -> None:
        """Take the call's context; nobody else reads from or writes to it."""
        self._context = context

    async def receive(self) -> Sequence[pb.AgentItem] | None:
        """Return the items of the next message, or None at the end."""
        try:
            message = await self._context.read()
        except DecodeError as error:
            raise BadMessage("a message cannot be decoded") from error
        except _LOST as error:
            raise TransportLost(str(error) or type(error).__name__) from error
        if message is grpc.aio.EOF:
            return None
        assert isinstance(message, pb.SessionRequest)
        return message.items

    async def send(self, items: Sequence[pb.CoordinatorItem]) -> None:
        """Send one message."""
        message = write_message(items)
        try:
            await self._context.write(message)
        except _LOST as error:
            raise TransportLost(str(error) or type(error).__name__) from error
