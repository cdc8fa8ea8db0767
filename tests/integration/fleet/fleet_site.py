"""A fleet server on loopback, and a small agent that speaks to it with real keys, TLS and gRPC."""

import asyncio
import itertools
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.x509.oid import NameOID
from pilotage_coordinator.fleet.enrolment import Enrolment
from pilotage_coordinator.fleet.registry import Token
from pilotage_coordinator.fleet.roster import Roster
from pilotage_coordinator.fleet.server import FleetServer, Listening
from pilotage_coordinator.fleet.settings import SessionSettings
from pilotage_coordinator.security.authority import SERVER_NAME, Authority, open_authority
from pilotage_coordinator.security.tokens import TOKEN_LIFE, JoinToken, new_secret, parse_token, secret_digest
from pilotage_proto.v1 import fleet_pb2 as pb
from pilotage_proto.v1 import fleet_pb2_grpc as services

from tests.unit.fleet.memory_registry import MemoryRegistry
from tests.unit.fleet.recording_listener import RecordingListener

EPOCH = 7
TARGET_NAME = (("grpc.ssl_target_name_override", SERVER_NAME),)
QUICK = SessionSettings(version="test", challenge_seconds=1.0, farewell_seconds=0.5, retry_seconds=0.01)


def enrolment_stub(channel: grpc.aio.Channel) -> Any:
    return services.EnrolmentServiceStub(channel)  # type: ignore[no-untyped-call]


def fleet_stub(channel: grpc.aio.Channel) -> Any:
    return services.FleetServiceStub(channel)  # type: ignore[no-untyped-call]


@dataclass
class Identity:
    """What an agent holds after joining."""

    key: ec.EllipticCurvePrivateKey
    sealing: X25519PrivateKey
    chain: Sequence[bytes]
    host_id: str
    name: str

    @property
    def certificate(self) -> x509.Certificate:
        return x509.load_der_x509_certificate(self.chain[0])


def private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def pem(*chain: bytes) -> bytes:
    return b"".join(x509.load_der_x509_certificate(der).public_bytes(serialization.Encoding.PEM) for der in chain)


def signing_request(key: Any, name: str = "anybody") -> bytes:
    return (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.DER)
    )


def raw_public(key: X25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


@dataclass
class Site:
    """A running coordinator side without a runtime."""

    folder: Path
    settings: SessionSettings = QUICK
    listener: RecordingListener = field(default_factory=RecordingListener)
    registry: MemoryRegistry = field(default_factory=MemoryRegistry)
    clock_offset: int = 0
    able: bool = True
    """Whether it could store something."""
    joined: list[str] = field(default_factory=list)

    async def __aenter__(self) -> "Site":
        numbers = itertools.count(1)
        self.authority: Authority = open_authority(self.folder / "authority.pem", self.now())
        self.roster = Roster(self.registry, self.settings, EPOCH, self.now, lambda: os.urandom(16).hex())
        self.roster.listen(self.listener)
        self.enrolment = Enrolment(
            self.registry,
            self.authority,
            self.now,
            time.monotonic,
            lambda: f"host_{next(numbers)}",
            joined=self._note_joined,
        )
        self.server = FleetServer(
            self.roster,
            self.enrolment,
            self.authority,
            Listening(fleet="127.0.0.1:0", enrolment="127.0.0.1:0", names=("127.0.0.1",)),
            self.now,
            lambda: self.able,
        )
        await self.server.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.listener.gate.set()
        await self.server.stop()

    async def _note_joined(self, name: str) -> None:
        assert any(host.name == name for host in self.registry.hosts.values())
        self.joined.append(name)

    def now(self) -> int:
        return time.time_ns() // 1_000 + self.clock_offset

    def token(self, name: str = "", life: int = TOKEN_LIFE) -> str:
        secret = new_secret(os.urandom(32))
        now = self.now()
        self.registry.add_token(Token(secret_digest(secret), now, now + life, name=name))
        return str(JoinToken(f"127.0.0.1:{self.server.enrolment_port}", self.authority.pin, secret, name))

    def door(self, root: bytes | None = None) -> grpc.aio.Channel:
        credentials = grpc.ssl_channel_credentials(root_certificates=root or self.authority.certificate_pem)
        return grpc.aio.secure_channel(f"127.0.0.1:{self.server.enrolment_port}", credentials, options=TARGET_NAME)

    async def join(
        self,
        token: str,
        name: str = "db1",
        key: ec.EllipticCurvePrivateKey | None = None,
        sealing: X25519PrivateKey | None = None,
    ) -> Identity:
        key = key or ec.generate_private_key(ec.SECP256R1())
        sealing = sealing or X25519PrivateKey.generate()
        async with self.door() as channel:
            answer = await enrolment_stub(channel).Join(
                pb.JoinRequest(
                    token=parse_token(token).secret,
                    signing_request=signing_request(key),
                    proposed_name=name,
                    sealing_key=raw_public(sealing),
                    agent_version="0.1.0",
                )
            )
        assert answer.fleet_address == f":{self.server.fleet_port}"
        return Identity(key, sealing, list(answer.certificates), answer.host_id, answer.host_name)

    async def host(self, name: str = "db1") -> Identity:
        return await self.join(self.token(), name)

    def fleet(self, identity: Identity | None) -> grpc.aio.Channel:
        credentials = grpc.ssl_channel_credentials(
            root_certificates=self.authority.certificate_pem,
            private_key=private_pem(identity.key) if identity else None,
            certificate_chain=pem(*identity.chain) if identity else None,
        )
        return grpc.aio.secure_channel(
            f"127.0.0.1:{self.server.fleet_port}",
            credentials,
            options=(*TARGET_NAME, ("grpc.use_local_subchannel_pool", 1)),
        )

    def agent(self, identity: Identity) -> "Agent":
        return Agent(self.fleet(identity))


class Agent:
    """One session of an agent; reads in the background into `items`."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel
        self.items: list[pb.CoordinatorItem] = []
        self.messages = 0
        self.ended = False
        self._changed = asyncio.Event()

    async def __aenter__(self) -> "Agent":
        self.call: Any = fleet_stub(self.channel).Session()
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)
        self.call.cancel()
        await self.channel.close()

    async def send(self, *items: pb.AgentItem) -> None:
        await self.call.write(pb.SessionRequest(items=items))

    async def until(self, kind: str, count: int = 1) -> list[Any]:
        """Wait, at most ten seconds, until `count` items of a kind came; return their bodies."""
        async with asyncio.timeout(10):
            while len(self.of(kind)) < count:
                assert not self.ended, f"the stream ended before {count} {kind}: {self.items}"
                self._changed.clear()
                await self._changed.wait()
        return self.of(kind)

    async def until_ended(self) -> None:
        async with asyncio.timeout(10):
            while not self.ended:
                self._changed.clear()
                await self._changed.wait()

    def of(self, kind: str) -> list[Any]:
        return [getattr(item, kind) for item in self.items if item.WhichOneof("item") == kind]

    async def _read(self) -> None:
        try:
            while (message := await self.call.read()) is not grpc.aio.EOF:
                self.messages += 1
                self.items.extend(message.items)
                self._changed.set()
        except grpc.RpcError:
            pass
        finally:
            self.ended = True
            self._changed.set()
