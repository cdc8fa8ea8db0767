"""Calling the enrolment port: to join, and to renew a certificate that ran out."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import grpc
import grpc.aio
from pilotage_proto.v1.fleet_pb2_grpc import EnrolmentServiceStub

from pilotage_agent.errors import EnrolmentFailed
from pilotage_agent.link.channel import enrol_channel

_log = logging.getLogger("pilotage.agent.link")

CALL_SECONDS: Final = 15.0
TRIES: Final = 4

T = TypeVar("T")


async def call_enrolment(address: str, ca_pem: bytes, call: Callable[[Any], Awaitable[T]]) -> T:
    """Call the enrolment port, again after a lost answer; raises EnrolmentFailed."""
    for left in reversed(range(TRIES)):
        async with enrol_channel(address, ca_pem) as channel:
            make_stub: Any = EnrolmentServiceStub
            try:
                return await call(make_stub(channel))
            except grpc.aio.AioRpcError as error:
                lost = error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
                if not lost or not left:
                    raise EnrolmentFailed(f"the coordinator refused ({error.code().name}): {error.details()}") from None
                _log.warning("no answer from %s (%s), trying again", address, error.details())
        await asyncio.sleep(1.0)
    raise AssertionError("unreachable")
