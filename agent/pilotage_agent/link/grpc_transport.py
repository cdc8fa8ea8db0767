"""The Transport port over one gRPC stream."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import grpc
import grpc.aio
from pilotage_proto.v1.fleet_pb2_grpc import FleetServiceStub

from pilotage_agent.errors import LinkLost, LinkRefused
from pilotage_agent.link.wire import from_response, to_request
from pilotage_agent.messages import AgentItem, CoordinatorItem

CONNECT_SECONDS: Final = 10.0

_REFUSED: Final = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNIMPLEMENTED)


class GrpcTransport:
    """One Session call on a channel; closes both."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel
        make_stub: Any = FleetServiceStub
        self._call = make_stub(channel).Session()

    @classmethod
    async def open(cls, channel: grpc.aio.Channel, address: str) -> "GrpcTransport":
        """Wait until the channel is connected, then begin the call; raises LinkLost."""
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await channel.channel_ready()
        except TimeoutError:
            await channel.close()
            raise LinkLost(f"{address} does not answer within {CONNECT_SECONDS:.0f} s") from None
        except BaseException:
            await channel.close()
            raise
        return cls(channel)

    async def send(self, items: Sequence[AgentItem]) -> None:
        try:
            await self._call.write(to_request(items))
        except (grpc.aio.AioRpcError, grpc.aio.UsageError, asyncio.InvalidStateError) as error:
            raise await self._lost(error) from error

    async def receive(self) -> Sequence[CoordinatorItem]:
        try:
            response = await self._call.read()
        except (grpc.aio.AioRpcError, grpc.aio.UsageError, asyncio.InvalidStateError) as error:
            raise await self._lost(error) from error
        if response is grpc.aio.EOF:
            raise LinkLost("the coordinator ended the stream")
        return from_response(response)

    async def close(self) -> None:
        self._call.cancel()
        await self._channel.close()

    async def _lost(self, error: BaseException) -> LinkLost | LinkRefused:
        if isinstance(error, grpc.aio.AioRpcError):
            text = f"{error.code().name}: {error.details()}"
            if error.code() in _REFUSED:
                return LinkRefused(f"the coordinator refused the call ({text})", retry=False)
            return LinkLost(f"the stream broke ({text})")
        return LinkLost(f"the stream is closed ({error})")
