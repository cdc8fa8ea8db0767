"""Who this agent is, on disk: keys, certificates, and where its coordinator lives. Folder 0700, keys 0600."""

import json
import os
import ssl
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pilotage_agent.errors import EnrolmentFailed, NotEnrolled
from pilotage_agent.sealing import SealingKey
from pilotage_agent.validity import validity_of

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
    """The keys and certificates of an enrolled agent. `key_pem`: the private key, PKCS#8. `certificates`: DER, own
    first, the CA last."""

    key_pem: bytes = field(repr=False)
    sealing_key: SealingKey
    certificates: tuple[bytes, ...]
    enrolment: Enrolment

    @property
    def expires(self) -> datetime:
        """When the agent's certificate runs out."""
        return validity_of(self.certificates[0])[1]

    def is_expired(self, now: datetime) -> bool:
        """Whether the coordinator would no longer take the certificate."""
        return now >= self.expires

    def renew_at(self) -> datetime:
        """Return the half of the certificate's life."""
        begin, end = validity_of(self.certificates[0])
        return begin + (end - begin) / 2

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
        # OpenSSL reads both, and refuses a key that is not the certificate's.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(
            folder / "certificate.pem", folder / "key.pem", _no_pass
        )
        certificates = _certificates_in((folder / "certificate.pem").read_text("ascii"))
        validity_of(certificates[0])
        return Identity(
            key_pem=(folder / "key.pem").read_bytes(),
            sealing_key=SealingKey.from_bytes((folder / "sealing.key").read_bytes()),
            certificates=certificates,
            enrolment=Enrolment(**json.loads((folder / "agent.json").read_text())),
        )
    except (OSError, ValueError, TypeError) as error:
        raise EnrolmentFailed(f"the identity in {folder} is damaged ({error}): join again with a new token") from error


def save_identity(folder: Path, identity: Identity) -> None:
    """Write the identity file by file; agent.json comes last and makes it count."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_private(folder / "key.pem", identity.key_pem)
    write_private(folder / "sealing.key", identity.sealing_key.to_bytes())
    write_private(folder / "certificate.pem", b"".join(pem_of(one) for one in identity.certificates))
    write_private(folder / "agent.json", json.dumps(asdict(identity.enrolment), indent=2).encode())


def pem_of(certificate: bytes) -> bytes:
    """Return a DER certificate as PEM."""
    return ssl.DER_cert_to_PEM_cert(certificate).encode()


def _certificates_in(text: str) -> tuple[bytes, ...]:
    end = "-----END CERTIFICATE-----"
    return tuple(ssl.PEM_cert_to_DER_cert(part.strip() + "\n" + end) for part in text.split(end)[:-1])


def _no_pass() -> str:
    """Refuse a key with a passphrase: OpenSSL would ask for one on the terminal."""
    raise ValueError("key.pem is encrypted")


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
