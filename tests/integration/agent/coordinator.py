"""A small coordinator for tests of the agent: both ports, a certificate authority, and a script's view of sessions."""

import asyncio
import base64
import datetime
import hashlib
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pilotage_agent.link.channel import prepare_environment
from pilotage_proto.v1 import fleet_pb2 as pb
from pilotage_proto.v1 import fleet_pb2_grpc as services

DER = serialization.Encoding.DER
PEM = serialization.Encoding.PEM
A_DAY = datetime.timedelta(hours=24)


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


class SmallAuthority:
    """A CA with one server certificate; issues what is asked."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "small authority")])
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now() - datetime.timedelta(minutes=5))
            .not_valid_after(now() + datetime.timedelta(days=10))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self.key, hashes.SHA256())
        )
        self.pin = hashlib.sha256(self.certificate.public_bytes(DER)).hexdigest()
        self.server_key = ec.generate_private_key(ec.SECP256R1())
        self.server_certificate = self.issue(self.server_key.public_key(), "pilotage-coordinator")

    def issue(
        self, public: Any, name: str, life: datetime.timedelta = datetime.timedelta(hours=24)
    ) -> x509.Certificate:
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(self.certificate.subject)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now() - datetime.timedelta(minutes=1))
            .not_valid_after(now() + life)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .sign(self.key, hashes.SHA256())
        )

    def server_credentials(self, *, mutual: bool) -> grpc.ServerCredentials:
        key = self.server_key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        chain = self.server_certificate.public_bytes(PEM) + self.certificate.public_bytes(PEM)
        root = self.certificate.public_bytes(PEM)
        return grpc.ssl_server_credentials([(key, chain)], root if mutual else None, mutual)


class SmallSession:
    """One stream of an agent. `items` are what it sent, flattened."""

    def __init__(self) -> None:
        self.items: list[pb.AgentItem] = []
        self.out: asyncio.Queue[pb.SessionResponse | None] = asyncio.Queue()
        self.changed = asyncio.Condition()
        self.ended = False

    def send(self, **item: Any) -> None:
        self.out.put_nowait(pb.SessionResponse(items=[pb.CoordinatorItem(**item)]))

    def end(self) -> None:
        self.out.put_nowait(None)

    async def wait_for(self, kind: str, number: int = 1, seconds: float = 30.0) -> list[Any]:
        """Return the first `number` items of a kind."""

        def found() -> list[Any]:
            return [getattr(item, kind) for item in self.items if item.WhichOneof("item") == kind]

        async with asyncio.timeout(seconds), self.changed:
            await self.changed.wait_for(lambda: len(found()) >= number or self.ended)
        assert len(found()) >= number, f"the stream ended before {number} × {kind}: {self.items}"
        return found()[:number]

    async def result_of(self, key: pb.AttemptKey) -> pb.Result:
        """Return how an attempt ended, told in the journal or by a result."""
        [page] = await self.wait_for("journal")
        told: list[pb.Result] = [entry.result for entry in page.entries if entry.key == key and entry.result.digest]
        if not told:
            told = [result for result in await self.wait_for("result") if result.key == key]
        [result] = told
        return result


class SmallCoordinator(services.FleetServiceServicer, services.EnrolmentServiceServicer):
    """Accepts any agent with a certificate of its authority. `welcome` is what every session is answered with."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.host = host
        self.authority = SmallAuthority()
        self.token = "secret-of-a-token"
        self.sessions: asyncio.Queue[SmallSession] = asyncio.Queue()
        self.welcome = pb.Welcome(protocol=1, epoch=1, heartbeat_seconds=5, log_window=1 << 20)
        self.refusal: pb.Refusal | None = None
        self.joins: list[pb.JoinRequest] = []
        self.renewals: list[Any] = []
        self.fail_joins = 0
        self.certificate_life = datetime.timedelta(hours=24)
        self.auto_ack = False
        self.ack_logs = True
        self.fleet_port = 0
        self.enrol_port = 0
        self._server: grpc.aio.Server | None = None

    async def start(self, fleet_port: int = 0, enrol_port: int = 0) -> None:
        prepare_environment(os.environ)
        server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        adders: tuple[Any, ...] = (
            services.add_FleetServiceServicer_to_server,
            services.add_EnrolmentServiceServicer_to_server,
        )
        for add in adders:
            add(self, server)
        self.fleet_port = server.add_secure_port(
            f"{self.host}:{fleet_port}", self.authority.server_credentials(mutual=True)
        )
        self.enrol_port = server.add_secure_port(
            f"{self.host}:{enrol_port}", self.authority.server_credentials(mutual=False)
        )
        await server.start()
        self._server = server

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop(0)
            self._server = None

    def join_token(self, pin: str | None = None) -> str:
        body = {"a": f"{self.host}:{self.enrol_port}", "p": pin or self.authority.pin, "t": self.token}
        return "plg1." + base64.urlsafe_b64encode(json.dumps(body).encode()).decode().rstrip("=")

    async def next_session(self, seconds: float = 30.0) -> SmallSession:
        return await asyncio.wait_for(self.sessions.get(), seconds)

    # --- services -------------------------------------------------------------------------------------------------

    async def Join(self, request: pb.JoinRequest, context: Any) -> pb.JoinResponse:
        self.joins.append(request)
        if self.fail_joins:
            self.fail_joins -= 1
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the answer got lost")
        if request.token != self.token:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "no such token")
        return pb.JoinResponse(
            certificates=self._certificates(request.signing_request),
            host_id="hst_1",
            host_name=request.proposed_name,
            fleet_address=f":{self.fleet_port}",
        )

    async def Renew(self, request: pb.RenewRequest, context: Any) -> pb.RenewResponse:
        self.renewals.append(request)
        return pb.RenewResponse(certificates=self._certificates(request.signing_request))

    async def RenewExpired(self, request: pb.RenewExpiredRequest, context: Any) -> pb.RenewExpiredResponse:
        self.renewals.append(request)
        old = x509.load_der_x509_certificate(request.expired_certificate)
        digest = hashlib.sha256(b"pilotage renew\n" + str(request.at).encode() + b"\n" + request.signing_request)
        public = old.public_key()
        assert isinstance(public, ec.EllipticCurvePublicKey)
        public.verify(request.proof, digest.digest(), ec.ECDSA(hashes.SHA256()))
        return pb.RenewExpiredResponse(certificates=self._certificates(request.signing_request))

    async def Session(
        self, requests: AsyncIterator[pb.SessionRequest], context: Any
    ) -> AsyncIterator[pb.SessionResponse]:
        session = SmallSession()
        reading = asyncio.create_task(self._read(session, requests))
        try:
            await session.wait_for("hello")
            if self.refusal is not None:
                yield pb.SessionResponse(items=[pb.CoordinatorItem(refusal=self.refusal)])
                return
            yield pb.SessionResponse(items=[pb.CoordinatorItem(welcome=self.welcome)])
            await session.wait_for("journal")
            self.sessions.put_nowait(session)
            while (response := await session.out.get()) is not None:
                yield response
        finally:
            reading.cancel()

    async def _read(self, session: SmallSession, requests: AsyncIterator[pb.SessionRequest]) -> None:
        try:
            async for request in requests:
                async with session.changed:
                    session.items += request.items
                    session.changed.notify_all()
                for item in request.items:
                    self._answer(session, item)
        finally:
            async with session.changed:
                session.ended = True
                session.changed.notify_all()

    def _answer(self, session: SmallSession, item: pb.AgentItem) -> None:
        if self.auto_ack and item.WhichOneof("item") == "result":
            session.send(result_ack=pb.ResultAck(key=item.result.key))
        if item.WhichOneof("item") == "log" and self.ack_logs:
            end = item.log.offset + len(item.log.data)
            session.send(log_ack=pb.LogAck(key=item.log.key, offset=end))

    def _certificates(self, request: bytes) -> list[bytes]:
        public = x509.load_der_x509_csr(request).public_key()
        own = self.authority.issue(public, "hst_1", self.certificate_life)
        return [own.public_bytes(DER), self.authority.certificate.public_bytes(DER)]


def attempt_key(number: int = 1, *, path: str = "step", attempt: int = 1, item: str = "") -> pb.AttemptKey:
    return pb.AttemptKey(
        execution=f"exe_{number}", path=path, host="h1", item=item, kind=pb.ATTEMPT_KIND_RUN, attempt=attempt
    )


def assignment(
    key: pb.AttemptKey, step_type: str, effect: int, parameters: dict[str, Any], **more: Any
) -> pb.Assignment:
    return pb.Assignment(
        key=key,
        epoch=more.pop("epoch", 1),
        plan_digest="sha256:0",
        step_type=step_type,
        effect=effect,  # type: ignore[arg-type]
        parameters=json.dumps(parameters).encode(),
        **more,
    )


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]
