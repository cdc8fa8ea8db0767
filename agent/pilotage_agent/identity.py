"""Who this agent is, on disk: keys, certificates, and where its coordinator lives. Folder 0700, keys 0600."""

import json
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from pilotage_agent.errors import EnrolmentFailed, NotEnrolled
from pilotage_agent.sealing import SealingKey

_FILES: Final = ("key.pem", "sealing.key", "certificate.pem", "agent.json")


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What a join taught us. Addresses are host:port; `ca_pin` is the hexadecimal SHA-256 of the CA's DER."""

    host_id: str
    host_name: str
    fleet_address: str
    enrol_address: str
    ca_pin: str
    sealing_key_receipt: str = ""


@dataclass(frozen=True, slots=True)
class Identity:
    """The keys and certificates of an enrolled agent. `certificates`: DER, own first, the CA last."""

    key: ec.EllipticCurvePrivateKey
    sealing_key: SealingKey
    certificates: tuple[bytes, ...]
    enrolment: Enrolment

    @property
    def own(self) -> x509.Certificate:
        """The agent's certificate."""
        return x509.load_der_x509_certificate(self.certificates[0])

    @property
    def expires(self) -> datetime:
        """When the agent's certificate runs out."""
        return self.own.not_valid_after_utc

    def is_expired(self, now: datetime) -> bool:
        """Whether the coordinator would no longer take the certificate."""
        return now >= self.expires

    def renew_at(self) -> datetime:
        """Return the half of the certificate's life."""
        begin = self.own.not_valid_before_utc
        return begin + (self.expires - begin) / 2

    def key_pem(self) -> bytes:
        """Return the private key for gRPC."""
        return private_pem(self.key)

    def chain_pem(self) -> bytes:
        """Return the agent's certificate and what stands between it and the CA."""
        return b"".join(pem_of(one) for one in self.certificates[:-1] or self.certificates)

    def ca_pem(self) -> bytes:
        """Return the coordinator's CA."""
        return pem_of(self.certificates[-1])


def load_identity(folder: Path) -> Identity:
    """Read the identity; raises NotEnrolled when there is none, EnrolmentFailed when it is damaged."""
    if not (folder / "agent.json").exists():
        raise NotEnrolled(f"this machine has no identity in {folder}: run pilotage-agent join TOKEN (as the same user)")
    try:
        key = serialization.load_pem_private_key((folder / "key.pem").read_bytes(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError("key.pem holds no elliptic curve key")
        chain = x509.load_pem_x509_certificates((folder / "certificate.pem").read_bytes())
        return Identity(
            key=key,
            sealing_key=SealingKey.from_bytes((folder / "sealing.key").read_bytes()),
            certificates=tuple(one.public_bytes(serialization.Encoding.DER) for one in chain),
            enrolment=Enrolment(**json.loads((folder / "agent.json").read_text())),
        )
    except (OSError, ValueError, TypeError) as error:
        raise EnrolmentFailed(f"the identity in {folder} is damaged ({error}): join again with a new token") from error


def save_identity(folder: Path, identity: Identity) -> None:
    """Write the identity file by file; agent.json comes last and makes it count."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_private(folder / "key.pem", identity.key_pem())
    write_private(folder / "sealing.key", identity.sealing_key.to_bytes())
    write_private(folder / "certificate.pem", b"".join(pem_of(one) for one in identity.certificates))
    write_private(folder / "agent.json", json.dumps(asdict(identity.enrolment), indent=2).encode())


def new_key() -> ec.EllipticCurvePrivateKey:
    """Make a key of the only kind that the transport takes (SECURITY, Identity)."""
    return ec.generate_private_key(ec.SECP256R1())


def private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a private key as PEM."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def pem_of(certificate: bytes) -> bytes:
    """Return a DER certificate as PEM."""
    return x509.load_der_x509_certificate(certificate).public_bytes(serialization.Encoding.PEM)


def utc_now() -> datetime:
    """Return the time of this machine."""
    return datetime.now(UTC)


def write_private(path: Path, data: bytes) -> None:
    """Replace a file that only its owner may read, durably and in one piece."""
    draft = path.with_name(path.name + ".new")
    handle = os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(handle, 0o600)
        os.write(handle, data)
        os.fsync(handle)
    finally:
        os.close(handle)
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
