"""The gRPC services: each method reads who calls, calls the room's own code, and maps refusals to status codes."""

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, NoReturn, TypeAlias
from urllib.parse import unquote

import grpc
from cryptography import x509
from grpc_health.v1 import health_pb2, health_pb2_grpc
from pilotage_proto.v1 import fleet_pb2 as pb
from pilotage_proto.v1 import fleet_pb2_grpc as services

from pilotage_coordinator.fleet.enrolment import Enrolment, JoinDemand, RenewalProof
from pilotage_coordinator.fleet.errors import EnrolmentFault, EnrolmentRefused
from pilotage_coordinator.fleet.grpc_transport import GrpcTransport
from pilotage_coordinator.fleet.peer import NotAnAgent, Peer, read_peer
from pilotage_coordinator.fleet.roster import Roster
from pilotage_coordinator.structured import structlog

_log = structlog.get_logger("pilotage.fleet")

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

FLEET_SERVICE: Final = "pilotage_proto.v1.FleetService"
ENROLMENT_SERVICE: Final = "pilotage_proto.v1.EnrolmentService"
_CODES: Final = {
    EnrolmentFault.BAD_TOKEN: grpc.StatusCode.UNAUTHENTICATED,
    EnrolmentFault.NAME_TAKEN: grpc.StatusCode.ALREADY_EXISTS,
    EnrolmentFault.BAD_REQUEST: grpc.StatusCode.INVALID_ARGUMENT,
    EnrolmentFault.DENIED: grpc.StatusCode.PERMISSION_DENIED,
    EnrolmentFault.TOO_MANY: grpc.StatusCode.RESOURCE_EXHAUSTED,
}


Method: TypeAlias = "Callable[[Any, Any, Context], Awaitable[Any]]"


def _guarded(method: Method) -> Method:
    """Let no text of an unexpected error reach the caller."""

    @functools.wraps(method)
    async def guarded(servicer: Any, request: Any, context: Context) -> Any:
        try:
            return await method(servicer, request, context)
        except grpc.aio.AbortError:
            raise
        except Exception:
            _log.exception("call.failed", method=method.__name__)
            await context.abort(grpc.StatusCode.INTERNAL, "the coordinator failed; its log says why")

    return guarded


class FleetServicer(services.FleetServiceServicer):
    """The fleet port: every caller has a certificate of our authority; only agents' are let through."""

    def __init__(self, roster: Roster, enrolment: Enrolment) -> None:
        """Take what answers."""
        self._roster = roster
        self._enrolment = enrolment
        self._sessions: set[asyncio.Task[None]] = set()
        """The event loop itself holds its tasks only weakly."""

    async def Session(self, request_iterator: AsyncIterator[pb.SessionRequest], context: Context) -> None:
        """Hold one agent's session."""
        peer = await _identify(context)
        # A lost connection cancels this handler, but what the session is storing must be finished in peace.
        session = asyncio.create_task(self._roster.serve(peer, GrpcTransport(context)))
        self._sessions.add(session)
        session.add_done_callback(self._sessions.discard)
        await asyncio.shield(session)

    @_guarded
    async def Renew(self, request: pb.RenewRequest, context: Context) -> pb.RenewResponse:
        """Replace a certificate that is still valid."""
        peer = await _identify(context)
        try:
            return pb.RenewResponse(certificates=await self._enrolment.renew(peer, request.signing_request))
        except EnrolmentRefused as refused:
            await _abort(context, refused)


class EnrolmentServicer(services.EnrolmentServiceServicer):
    """The enrolment port: callers are strangers until a token or a proof says otherwise."""

    def __init__(self, enrolment: Enrolment, fleet_address: str) -> None:
        """`fleet_address` is told to agents that join; an empty host means the one that they dialled."""
        self._enrolment = enrolment
        self._fleet_address = fleet_address

    @_guarded
    async def Join(self, request: pb.JoinRequest, context: Context) -> pb.JoinResponse:
        """Trade a token for a certificate."""
        demand = JoinDemand(
            token=request.token,
            signing_request=request.signing_request,
            proposed_name=request.proposed_name,
            sealing_key=request.sealing_key,
            agent_version=request.agent_version,
        )
        try:
            welcomed = await self._enrolment.join(demand, _source(context))
        except EnrolmentRefused as refused:
            await _abort(context, refused)
        return pb.JoinResponse(
            certificates=welcomed.certificates,
            host_id=welcomed.host_id,
            host_name=welcomed.host_name,
            fleet_address=self._fleet_address,
            sealing_key_receipt=welcomed.sealing_key_receipt,
        )

    @_guarded
    async def RenewExpired(self, request: pb.RenewExpiredRequest, context: Context) -> pb.RenewExpiredResponse:
        """Give a known agent a new certificate by proof of its key."""
        proof = RenewalProof(
            expired_certificate=request.expired_certificate,
            signing_request=request.signing_request,
            at=request.at,
            proof=request.proof,
        )
        try:
            chain = await self._enrolment.renew_expired(proof, _source(context))
        except EnrolmentRefused as refused:
            await _abort(context, refused)
        return pb.RenewExpiredResponse(certificates=chain)


class HealthServicer(health_pb2_grpc.HealthServicer):  # type: ignore[misc]  # it comes without types
    """grpc.health.v1 on the enrolment port, where a monitor needs no certificate. Answers Check only.

    Watch would let strangers hold streams open without end, so it is left unimplemented, as the protocol permits.
    """

    def __init__(self, able: Callable[[], bool]) -> None:
        """Begin as not serving; later it serves while `able`: a coordinator that cannot store opens no session."""
        self.serving = False
        self._able = able

    async def Check(self, request: health_pb2.HealthCheckRequest, context: Context) -> health_pb2.HealthCheckResponse:
        """Say whether the coordinator, or one of its services, serves."""
        if request.service not in ("", FLEET_SERVICE, ENROLMENT_SERVICE):
            await context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        status = health_pb2.HealthCheckResponse
        return status(status=status.SERVING if self.serving and self._able() else status.NOT_SERVING)


async def _identify(context: Context) -> Peer:
    """Return who calls; aborts the call unless it is an agent."""
    certificates = list(context.auth_context().get("x509_pem_cert", ()))
    try:
        if len(certificates) != 1:
            raise NotAnAgent("the connection has no client certificate")
        return read_peer(x509.load_pem_x509_certificate(certificates[0]))
    except (NotAnAgent, ValueError) as error:
        await context.abort(grpc.StatusCode.PERMISSION_DENIED, str(error))


async def _abort(context: Context, refused: EnrolmentRefused) -> NoReturn:
    await context.abort(_CODES[refused.fault], str(refused))


def _source(context: Context) -> str:
    """Return the caller's address without its port: `ipv4:127.0.0.1:5` gives `127.0.0.1`."""
    peer = unquote(context.peer() or "")
    family, _, rest = peer.partition(":")
    if family in ("ipv4", "ipv6"):
        return rest.rpartition(":")[0].strip("[]")
    return peer
