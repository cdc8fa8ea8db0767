"""The coordinator's two gRPC ports: fleet (mutual TLS) and enrolment (server TLS)."""

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import grpc
from grpc_health.v1 import health_pb2_grpc
from pilotage_proto.limits import LARGEST_MESSAGE
from pilotage_proto.v1 import fleet_pb2_grpc as services

from pilotage_coordinator import fleet
from pilotage_coordinator.fleet.enrolment import Enrolment
from pilotage_coordinator.fleet.errors import ServerError
from pilotage_coordinator.fleet.roster import Roster
from pilotage_coordinator.fleet.servicers import EnrolmentServicer, FleetServicer, HealthServicer
from pilotage_coordinator.security.authority import Authority, ServerIdentity
from pilotage_coordinator.structured import structlog

_log = structlog.get_logger("pilotage.fleet")

SWEEP_SECONDS: Final = 2.0
"""How often denied and ended certificates are looked for; a revoked host loses its stream within 5 s."""
MOST_ENROLMENTS: Final = 64
"""Calls on the enrolment port at the same time."""
LARGEST_ENROLMENT: Final = 64 * 1024

_COMMON: Final = (
    # A second coordinator must not share the port silently.
    ("grpc.so_reuseport", 0),
    ("grpc.server_handshake_timeout_ms", 10_000),
    ("grpc.max_metadata_size", 16 * 1024),
)
_FLEET: Final = (
    *_COMMON,
    ("grpc.max_receive_message_length", LARGEST_MESSAGE),
    ("grpc.max_send_message_length", LARGEST_MESSAGE),
    # A host has one session; the rest is room for its successor and renewals.
    ("grpc.max_concurrent_streams", 16),
    # Heartbeats find lost agents; these pings only free dead sockets, so they may be rare.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    # Agents may ping every 10 s; one that pings faster for long is cut off.
    ("grpc.http2.min_ping_interval_without_data_ms", 8_000),
    ("grpc.http2.max_ping_strikes", 8),
    # Bandwidth probes cost pings on thousands of idle connections.
    ("grpc.http2.bdp_probe", 0),
)
_ENROLMENT: Final = (
    *_COMMON,
    ("grpc.max_receive_message_length", LARGEST_ENROLMENT),
    ("grpc.max_send_message_length", LARGEST_ENROLMENT),
    ("grpc.max_concurrent_streams", 4),
    ("grpc.max_connection_idle_ms", 30_000),
    ("grpc.max_connection_age_ms", 120_000),
)


@dataclass(frozen=True, slots=True)
class Listening:
    """Where to listen. Addresses are host:port; port 0 takes a free one."""

    fleet: str = "[::]:7443"
    enrolment: str = "[::]:7444"
    names: Sequence[str] = ()
    """DNS names and IP addresses in the server's certificate, besides its fixed name."""
    fleet_address: str = ""
    """What joining agents are told; empty = the host that they dialled and the fleet port."""


class FleetServer:
    """Both ports, the watch over certificates, and an orderly end."""

    def __init__(
        self,
        roster: Roster,
        enrolment: Enrolment,
        authority: Authority,
        listening: Listening,
        clock: Callable[[], int],
        able: Callable[[], bool] = lambda: True,
    ) -> None:
        """`clock` gives UTC microseconds; `able` says whether anything can be stored now, for those who monitor."""
        self._roster = roster
        self._enrolment = enrolment
        self._authority = authority
        self._listening = listening
        self._clock = clock
        self._identity: ServerIdentity | None = None
        self._servers: list[grpc.aio.Server] = []
        self._health = HealthServicer(able)
        self._sweeper: asyncio.Task[None] | None = None
        self.fleet_port = 0
        self.enrolment_port = 0

    async def start(self) -> None:
        """Listen on both ports; raises ServerError naming the one that cannot be had."""
        if fleet.GRPC_CAME_FIRST or os.environ.get("GRPC_SSL_CIPHER_SUITES") != fleet.CIPHER_SUITES:
            raise ServerError(
                "grpc was imported before pilotage_coordinator.fleet, so TLS 1.2 may be open; "
                f"start with GRPC_SSL_CIPHER_SUITES={fleet.CIPHER_SUITES} or import the fleet first"
            )
        server = grpc.aio.server(options=_FLEET)
        services.add_FleetServiceServicer_to_server(FleetServicer(self._roster, self._enrolment), server)  # type: ignore[no-untyped-call]
        self.fleet_port = self._bind(server, self._listening.fleet, mutual=True)
        door = grpc.aio.server(options=_ENROLMENT, maximum_concurrent_rpcs=MOST_ENROLMENTS)
        told = self._listening.fleet_address or f":{self.fleet_port}"
        services.add_EnrolmentServiceServicer_to_server(EnrolmentServicer(self._enrolment, told), door)  # type: ignore[no-untyped-call]
        health_pb2_grpc.add_HealthServicer_to_server(self._health, door)
        self.enrolment_port = self._bind(door, self._listening.enrolment, mutual=False)
        self._servers = [server, door]
        for each in self._servers:
            await each.start()
        self._health.serving = True
        self._sweeper = asyncio.create_task(self._sweep())
        _log.info("fleet.listening", fleet=self.fleet_port, enrolment=self.enrolment_port, pin=self._authority.pin)

    async def stop(self, reconnect_ms: int = 1_000) -> None:
        """Say goodbye to agents, let what is being stored finish, and close both ports."""
        self._health.serving = False
        if self._sweeper is not None:
            self._sweeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._sweeper
        await self._roster.shut_down(reconnect_ms)
        await asyncio.gather(*(server.stop(grace=1.0) for server in self._servers))
        self._servers = []

    def _bind(self, server: grpc.aio.Server, address: str, *, mutual: bool) -> int:
        shown = self._current_identity()

        def renewed() -> grpc.ServerCertificateConfiguration | None:
            """Give gRPC the certificate for a new connection, None for the last one. Called from gRPC's threads."""
            nonlocal shown
            identity = self._current_identity()
            if identity is shown:
                return None
            shown = identity
            return self._configuration(identity)

        credentials = grpc.dynamic_ssl_server_credentials(
            self._configuration(shown),
            renewed,  # type: ignore[arg-type]  # the stubs do not know that None is allowed
            require_client_authentication=mutual,
        )
        try:
            port = server.add_secure_port(address, credentials)
        except RuntimeError:
            port = 0
        if port == 0:
            raise ServerError(f"{address} cannot be listened on: {_why_not(address)}")
        return port

    def _current_identity(self) -> ServerIdentity:
        now = self._clock()
        if self._identity is None or now >= self._identity.renew_at:
            self._identity = self._authority.issue_server(self._listening.names, now)
        return self._identity

    def _configuration(self, identity: ServerIdentity) -> grpc.ServerCertificateConfiguration:
        return grpc.ssl_server_certificate_configuration(
            [(identity.key, identity.chain)], root_certificates=self._authority.certificate_pem
        )

    async def _sweep(self) -> None:
        while True:
            try:
                await self._roster.sweep()
            except Exception:
                _log.exception("fleet.sweep_failed")
            await asyncio.sleep(SWEEP_SECONDS)


def _why_not(address: str) -> str:
    """Return why an address cannot be listened on, as the system says it: gRPC says only that it cannot."""
    host, _, port = address.rpartition(":")
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.bind(place)
    except OSError as error:
        taken = "; another coordinator may run here" if error.errno == errno.EADDRINUSE else ""
        return f"{error.strerror or error}{taken}"
    return "the system gave no reason; try again"
