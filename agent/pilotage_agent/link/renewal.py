"""Keeping the agent's certificate fresh: renewed at half of its life, and by proof of its key once it ran out."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import grpc
import grpc.aio
from pilotage_proto.v1 import fleet_pb2 as pb
from pilotage_proto.v1.fleet_pb2_grpc import FleetServiceStub

from pilotage_agent.errors import EnrolmentFailed
from pilotage_agent.identity import Identity, save_identity, utc_now
from pilotage_agent.link.channel import fleet_channel
from pilotage_agent.link.enrol_call import CALL_SECONDS, call_enrolment
from pilotage_agent.link.signer import check_chain, sign_request

_log = logging.getLogger("pilotage.agent.link")

RETRY_SECONDS: Final = 60.0
LONGEST_SLEEP: Final = 300.0
"""The clock is looked at this often, as it may be set meanwhile."""


class Renewal:
    """Renews while the agent runs. `identity` gives the present one, `renewed` takes the new one, `redial` makes the
    link use it."""

    def __init__(
        self,
        identity: Callable[[], Identity],
        renewed: Callable[[Identity], None],
        redial: Callable[[], None],
        folder: Path,
    ) -> None:
        self._identity = identity
        self._renewed = renewed
        self._redial = redial
        self._folder = folder

    @staticmethod
    def now() -> datetime:
        """Return the time of this machine."""
        return utc_now()

    async def run(self) -> None:
        """Renew whenever it is time, until cancelled."""
        while True:
            pause = (self._identity().renew_at() - self.now()).total_seconds()
            if pause > 0:
                await asyncio.sleep(min(pause, LONGEST_SLEEP))
                continue
            try:
                await self.renew_once()
            except (EnrolmentFailed, OSError) as error:
                _log.warning("the certificate cannot be renewed now: %s", error)
                await asyncio.sleep(RETRY_SECONDS)

    async def renew_once(self) -> None:
        """Get and save a new certificate; raises EnrolmentFailed."""
        identity = self._identity()
        if identity.is_expired(self.now()):
            certificates = await renew_expired(identity, self.now())
        else:
            certificates = await renew_valid(identity)
        renewed = replace(identity, certificates=certificates)
        await asyncio.to_thread(save_identity, self._folder, renewed)
        self._renewed(renewed)
        _log.info("certificate renewed until %s", renewed.expires.isoformat())
        self._redial()


async def renew_valid(identity: Identity) -> tuple[bytes, ...]:
    """Call FleetService.Renew with the certificate that is still good; raises EnrolmentFailed."""
    enrolment = identity.enrolment
    signed = await sign_request(identity.key_pem, enrolment.host_name)
    request = pb.RenewRequest(signing_request=signed.request)
    async with fleet_channel(enrolment.fleet_address, identity) as channel:
        make_stub: Any = FleetServiceStub
        try:
            response = await make_stub(channel).Renew(request, timeout=CALL_SECONDS)
        except grpc.aio.AioRpcError as error:
            raise EnrolmentFailed(f"the coordinator refused ({error.code().name}): {error.details()}") from None
    return await check_chain(response.certificates, identity.key_pem, enrolment.ca_pin)


async def renew_expired(identity: Identity, now: datetime) -> tuple[bytes, ...]:
    """Call EnrolmentService.RenewExpired with a proof of the old certificate's key; raises EnrolmentFailed."""
    enrolment = identity.enrolment
    at = int(now.timestamp() * 1_000_000)
    signed = await sign_request(identity.key_pem, enrolment.host_name, at)
    message = pb.RenewExpiredRequest(
        expired_certificate=identity.certificates[0],
        signing_request=signed.request,
        at=at,
        proof=signed.proof,
    )

    async def call(stub: Any) -> pb.RenewExpiredResponse:
        response: pb.RenewExpiredResponse = await stub.RenewExpired(message, timeout=CALL_SECONDS)
        return response

    response = await call_enrolment(enrolment.enrol_address, identity.ca_pem(), call)
    return await check_chain(response.certificates, identity.key_pem, enrolment.ca_pin)
