"""How hosts come to their certificates: joining with a token, renewing, and renewing after the old one ran out.

Knows no gRPC. Identity in a renewal is the caller's certificate, already verified; a request's own claims are ignored.
"""

import hashlib
import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from pilotage_coordinator.fleet.errors import EnrolmentFault, EnrolmentRefused
from pilotage_coordinator.fleet.peer import NotAnAgent, Peer, read_peer
from pilotage_coordinator.fleet.registry import Certificate, Host, NameTaken, Registry, Token, TokenSpent
from pilotage_coordinator.security.authority import Authority, IssuedCertificate, key_digest, read_signing_request
from pilotage_coordinator.security.brake import Brake
from pilotage_coordinator.security.errors import SealingError, SigningRequestRefused
from pilotage_coordinator.security.sealing import check_sealing_key
from pilotage_coordinator.security.tokens import same_digest, secret_digest
from pilotage_coordinator.structured import structlog

_log = structlog.get_logger("pilotage.fleet")

HOST_NAME: Final = re.compile(r"[a-z0-9][a-z0-9.-]{0,62}")
PROOF_SKEW: Final = 5 * 60 * 1_000_000
"""Microseconds by which a proof's time may differ from ours."""
LONGEST_VERSION: Final = 256


@dataclass(frozen=True, slots=True)
class JoinDemand:
    """What a new agent asks with; every field is untrusted."""

    token: str
    signing_request: bytes
    proposed_name: str
    sealing_key: bytes
    agent_version: str


@dataclass(frozen=True, slots=True)
class RenewalProof:
    """What an agent with an ended certificate asks with; every field is untrusted. `at` is UTC microseconds."""

    expired_certificate: bytes
    signing_request: bytes
    at: int
    proof: bytes


@dataclass(frozen=True, slots=True)
class Welcomed:
    """The answer to a join."""

    certificates: tuple[bytes, ...]
    host_id: str
    host_name: str
    sealing_key_receipt: bytes


class Enrolment:
    """Answers joins and renewals; the registry holds the facts."""

    def __init__(
        self,
        registry: Registry,
        authority: Authority,
        clock: Callable[[], int],
        seconds: Callable[[], float],
        new_host_id: Callable[[], str],
        wall: Callable[[], int] | None = None,
        joined: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        """`clock` gives UTC microseconds, by which join tokens run out, and `seconds` is a monotonic clock.

        `wall` is the clock that TLS on both sides judges certificates by; `clock` unless given. `joined` is told the
        name of each host that has joined before its agent is; should it fail, the agent asks again.
        """
        self._registry = registry
        self._authority = authority
        self._clock = clock
        self._wall = wall or clock
        self._seconds = seconds
        self._new_host_id = new_host_id
        self._joined = joined
        self._brake = Brake()
        self._renewals = Brake()
        self._proofs: dict[str, int] = {}
        """Time of each host's last proof, while it could be replayed. Only thrift: what a replay yields is a
        certificate for a key that the thief has not."""
        self.renewed_after_expiry = 0
        """How many certificates were renewed by proof since the start."""

    async def join(self, demand: JoinDemand, source: str) -> Welcomed:
        """Trade a token for an identity; with the same key, again while the token lives. Raises EnrolmentRefused."""
        with self._braked(source):
            return await self._join(demand)

    async def renew(self, peer: Peer, signing_request: bytes) -> tuple[bytes, ...]:
        """Return a new certificate chain for the host behind a valid certificate. Raises EnrolmentRefused."""
        host = await self._trusted(peer)
        issued = self._issue(_read_key(signing_request), host.id, host.name)
        self._count_renewal(host)
        await self._registry.add_certificate(_record(issued, host.id))
        _log.info("certificate.renewed", host=host.name, serial=issued.serial)
        return issued.chain

    async def renew_expired(self, proof: RenewalProof, source: str) -> tuple[bytes, ...]:
        """Return a new certificate chain to whoever holds the key of an ended certificate. Raises EnrolmentRefused."""
        with self._braked(source):
            return await self._renew_expired(proof)

    @contextmanager
    def _braked(self, source: str) -> Iterator[None]:
        """Refuse sources that failed too often, and count failures."""
        if self._brake.closed(source, self._seconds()):
            raise EnrolmentRefused(EnrolmentFault.TOO_MANY, "too many failed requests; try again in a minute")
        try:
            yield
        except EnrolmentRefused as refused:
            self._brake.count(source, self._seconds())
            _log.warning("enrolment.refused", source=source, fault=str(refused.fault), message=str(refused))
            raise

    async def _join(self, demand: JoinDemand) -> Welcomed:
        now = self._clock()
        digest = secret_digest(demand.token)
        token = await self._registry.token(digest)
        if token is None or not same_digest(token.digest, digest):
            raise EnrolmentRefused(
                EnrolmentFault.BAD_TOKEN, "the join token is unknown; print one: pilotage host token"
            )
        if token.expires_at <= now:
            raise EnrolmentRefused(
                EnrolmentFault.BAD_TOKEN, "the join token has expired; print one: pilotage host token"
            )
        key = _read_key(demand.signing_request)
        if token.used_by:
            return await self._join_again(token, key)
        name = token.name or demand.proposed_name
        if not HOST_NAME.fullmatch(name):
            raise EnrolmentRefused(
                EnrolmentFault.BAD_REQUEST,
                f"{name[:80]!r} is no host name: small letters, digits, dots and hyphens, at most 63, "
                "beginning with a letter or digit",
            )
        try:
            check_sealing_key(demand.sealing_key)
        except SealingError as error:
            raise EnrolmentRefused(EnrolmentFault.BAD_REQUEST, str(error)) from error
        host = Host(
            id=self._new_host_id(),
            name=name,
            key_digest=key_digest(key),
            sealing_key=demand.sealing_key,
            joined_at=now,
            agent_version=demand.agent_version[:LONGEST_VERSION],
        )
        issued = self._issue(key, host.id, host.name)
        try:
            await self._registry.enrol(token, host, _record(issued, host.id), now)
        except NameTaken as error:
            raise EnrolmentRefused(
                EnrolmentFault.NAME_TAKEN,
                f"a host named {name} is enrolled already; choose another name, or revoke it first: "
                f"pilotage host revoke {name}",
            ) from error
        except TokenSpent:
            # The same agent may have asked twice at once.
            return await self._join_again(await self._registry.token(digest) or token, key)
        _log.info("host.joined", host=name, host_id=host.id, serial=issued.serial)
        return await self._welcome(host, issued)

    async def _join_again(self, token: Token, key: ec.EllipticCurvePublicKey) -> Welcomed:
        """Answer a repeated join: the first answer was lost, if the key is the same."""
        host = await self._registry.host(token.used_by)
        if host is None or host.revoked or not same_digest(host.key_digest, key_digest(key)):
            raise EnrolmentRefused(
                EnrolmentFault.BAD_TOKEN, "the join token was used already; print another: pilotage host token"
            )
        issued = self._issue(key, host.id, host.name)
        await self._registry.add_certificate(_record(issued, host.id))
        return await self._welcome(host, issued)

    async def _renew_expired(self, proof: RenewalProof) -> tuple[bytes, ...]:
        now = self._wall()
        if abs(proof.at - now) > PROOF_SKEW:
            raise EnrolmentRefused(
                EnrolmentFault.DENIED, "the proof's time differs by more than five minutes; set the host's clock"
            )
        peer = self._proven(proof)
        host = await self._trusted(peer)
        issued = self._issue(_read_key(proof.signing_request), host.id, host.name)
        if proof.at <= self._proofs.get(host.id, 0):
            raise EnrolmentRefused(EnrolmentFault.DENIED, "this proof was used already; make a new one")
        self._count_renewal(host)
        self._proofs = {known: at for known, at in self._proofs.items() if at > now - 2 * PROOF_SKEW}
        self._proofs[host.id] = proof.at
        await self._registry.add_certificate(_record(issued, host.id))
        self.renewed_after_expiry += 1
        _log.warning("certificate.renewed_after_expiry", host=host.name, serial=issued.serial)
        return issued.chain

    def _proven(self, proof: RenewalProof) -> Peer:
        """Return whom the ended certificate names, if it is ours and its key made the proof."""
        denied = EnrolmentRefused(
            EnrolmentFault.DENIED, "the certificate is not one of this fleet, or the proof is wrong"
        )
        try:
            certificate = x509.load_der_x509_certificate(proof.expired_certificate)
            key = certificate.public_key()
            peer = read_peer(certificate)
        except (ValueError, TypeError, NotAnAgent, x509.InvalidVersion) as error:
            raise denied from error
        if not self._authority.issued(certificate) or not isinstance(key, ec.EllipticCurvePublicKey):
            raise denied
        try:
            key.verify(proof.proof, proof_message(proof.at, proof.signing_request), ec.ECDSA(hashes.SHA256()))
        except InvalidSignature as error:
            raise denied from error
        return peer

    async def _trusted(self, peer: Peer) -> Host:
        host = await self._registry.host(peer.host_id)
        if host is None or host.name != peer.host or host.revoked or not await self._good(peer):
            raise EnrolmentRefused(EnrolmentFault.DENIED, f"{peer.host} was revoked; join again with a new token")
        if host.quarantine:
            raise EnrolmentRefused(EnrolmentFault.DENIED, f"{peer.host} is in quarantine: {host.quarantine}")
        return host

    async def _good(self, peer: Peer) -> bool:
        if not await self._registry.denied(peer.serial):
            return True
        return await self._registry.adopt(Certificate(peer.serial, peer.host_id, self._wall(), peer.expires_at))

    def _count_renewal(self, host: Host) -> None:
        """Refuse a host that renews without end: each certificate is a row that must be kept until it runs out."""
        now = self._seconds()
        if self._renewals.closed(host.id, now):
            raise EnrolmentRefused(EnrolmentFault.TOO_MANY, f"{host.name} renewed too often; try again in a minute")
        self._renewals.count(host.id, now)

    def _issue(self, key: ec.EllipticCurvePublicKey, host_id: str, name: str) -> IssuedCertificate:
        return self._authority.issue_client(key, host_id, name, self._wall())

    async def _welcome(self, host: Host, issued: IssuedCertificate) -> Welcomed:
        if self._joined is not None:
            await self._joined(host.name)
        return Welcomed(
            certificates=issued.chain,
            host_id=host.id,
            host_name=host.name,
            sealing_key_receipt=self._authority.sign(receipt_message(host.id, host.sealing_key)),
        )


def proof_message(at: int, signing_request: bytes) -> bytes:
    """Return what the proof of a RenewExpired signs: a SHA-256 digest, which ECDSA hashes once more (fleet.proto)."""
    return hashlib.sha256(f"pilotage renew\n{at}\n".encode() + signing_request).digest()


def receipt_message(host_id: str, sealing_key: bytes) -> bytes:
    """Return what the authority signs to bind a sealing key to a host."""
    return f"pilotage sealing key\n{host_id}\n".encode() + sealing_key


def _read_key(signing_request: bytes) -> ec.EllipticCurvePublicKey:
    try:
        return read_signing_request(signing_request)
    except SigningRequestRefused as error:
        raise EnrolmentRefused(EnrolmentFault.BAD_REQUEST, str(error)) from error


def _record(issued: IssuedCertificate, host_id: str) -> Certificate:
    return Certificate(issued.serial, host_id, issued.issued_at, issued.expires_at)
