"""The coordinator's certificate authority: it makes the server's certificate and those of agents.

ECDSA on P-256 throughout: with it and the cipher setting of the room `fleet`, TLS 1.2 is refused (SECURITY: Identity).
Times are UTC microseconds.
"""

import hashlib
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pilotage_coordinator.security.errors import AuthorityError, SigningRequestRefused
from pilotage_coordinator.security.private_file import ExposedFile, create_private, read_private

SERVER_NAME: Final = "pilotage-coordinator"
"""The DNS name in every server certificate; agents check it, whatever address they dialled."""
HOST_URI: Final = "pilotage://host/"
"""Before a host's id in the URI of its certificate: the mark of an agent's role."""
CLIENT_LIFE: Final = 24 * 3600 * 1_000_000
SERVER_LIFE: Final = 30 * 24 * 3600 * 1_000_000
AUTHORITY_LIFE: Final = 3650 * 24 * 3600 * 1_000_000
CLOCK_SKEW: Final = 5 * 60 * 1_000_000
"""Certificates are valid from this long ago, for agents whose clocks are behind."""
LARGEST_REQUEST: Final = 16 * 1024


@dataclass(frozen=True, slots=True)
class IssuedCertificate:
    """A certificate that was made; `chain` is DER: itself, then the authority's."""

    serial: str
    chain: tuple[bytes, ...]
    key_digest: str
    issued_at: int
    expires_at: int


@dataclass(frozen=True, slots=True)
class ServerIdentity:
    """Key and certificate chain (PEM) that the coordinator's ports show; to be replaced from `renew_at` on."""

    key: bytes
    chain: bytes
    renew_at: int
    expires_at: int


@dataclass(frozen=True, slots=True)
class Authority:
    """The key and certificate that vouch for everyone in the fleet."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def certificate_der(self) -> bytes:
        """Return the authority's certificate in DER."""
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def certificate_pem(self) -> bytes:
        """Return the authority's certificate in PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def pin(self) -> str:
        """Return the hexadecimal SHA-256 of the authority's certificate (DER), as join tokens carry it."""
        return hashlib.sha256(self.certificate_der).hexdigest()

    def issue_server(self, names: Sequence[str], now: int) -> ServerIdentity:
        """Make a fresh key and a server certificate for SERVER_NAME and `names` (DNS names and IP addresses)."""
        key = ec.generate_private_key(ec.SECP256R1())
        alternatives = [x509.DNSName(SERVER_NAME), *(_general_name(name) for name in names if name != SERVER_NAME)]
        expires_at = min(now + SERVER_LIFE, self.expires_at)
        certificate = (
            self._builder(SERVER_NAME, key.public_key(), now, expires_at)
            .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        return ServerIdentity(
            key=_private_pem(key),
            chain=certificate.public_bytes(serialization.Encoding.PEM) + self.certificate_pem,
            renew_at=now + (expires_at - now) // 2,
            expires_at=expires_at,
        )

    def issue_client(self, key: ec.EllipticCurvePublicKey, host_id: str, host_name: str, now: int) -> IssuedCertificate:
        """Make a certificate that says: this key is host `host_id`, named `host_name`. Valid 24 h."""
        expires_at = min(now + CLIENT_LIFE, self.expires_at)
        certificate = (
            self._builder(host_name, key, now, expires_at)
            .add_extension(
                x509.SubjectAlternativeName([x509.UniformResourceIdentifier(HOST_URI + host_id)]), critical=False
            )
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        return IssuedCertificate(
            serial=f"{certificate.serial_number:x}",
            chain=(certificate.public_bytes(serialization.Encoding.DER), self.certificate_der),
            key_digest=key_digest(key),
            issued_at=now,
            expires_at=expires_at,
        )

    def sign(self, message: bytes) -> bytes:
        """Return an ECDSA-SHA256 signature (DER) of `message` by the authority's key."""
        return self.key.sign(message, ec.ECDSA(hashes.SHA256()))

    def issued(self, certificate: x509.Certificate) -> bool:
        """Return whether this authority signed `certificate`, whatever its dates."""
        try:
            certificate.verify_directly_issued_by(self.certificate)
        except (ValueError, TypeError, InvalidSignature):
            return False
        return True

    @property
    def expires_at(self) -> int:
        """Return when the authority's own certificate ends."""
        return microseconds(self.certificate.not_valid_after_utc)

    def _builder(
        self, common_name: str, key: ec.EllipticCurvePublicKey, now: int, expires_at: int
    ) -> x509.CertificateBuilder:
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]))
            .issuer_name(self.certificate.subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(moment(now - CLOCK_SKEW))
            .not_valid_after(moment(expires_at))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(identifier, critical=False)
        )


def open_authority(file: Path, now: int) -> Authority:
    """Read the authority from `file` (PEM, mode 0600), or make it there if this is the first start.

    Raises AuthorityError when the file is readable by others, damaged, or its certificate has ended.
    """
    try:
        content = read_private(file)
        if content is None:
            content = create_private(file, _new_authority(now), 0o600)
        key = serialization.load_pem_private_key(content, password=None)
        certificate = x509.load_pem_x509_certificate(content)
    except ExposedFile as error:
        raise AuthorityError(str(error)) from error
    except (ValueError, TypeError) as error:
        raise AuthorityError(
            f"{file} does not hold the authority's key and certificate; restore it from a backup"
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise AuthorityError(f"{file}: key and certificate do not belong together; restore it from a backup")
    authority = Authority(key, certificate)
    if authority.expires_at <= now:
        raise AuthorityError(
            f"the authority in {file} ended {moment(authority.expires_at):%Y-%m-%d}; hosts must join anew"
        )
    return authority


def read_signing_request(request: bytes) -> ec.EllipticCurvePublicKey:
    """Return the key of a PKCS#10 request (DER) that proves its possession; nothing else in it is looked at.

    Raises SigningRequestRefused unless it is an ECDSA P-256 key.
    """
    if len(request) > LARGEST_REQUEST:
        raise SigningRequestRefused(f"the signing request has {len(request)} bytes; at most {LARGEST_REQUEST} are read")
    try:
        parsed = x509.load_der_x509_csr(request)
        key = parsed.public_key()
        proven = parsed.is_signature_valid
    except (ValueError, TypeError, OverflowError, InvalidSignature) as error:
        raise SigningRequestRefused("the signing request is not PKCS#10 in DER") from error
    except Exception as error:  # UnsupportedAlgorithm and what else a parser of foreign bytes may raise
        raise SigningRequestRefused(f"the signing request cannot be read: {error}") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise SigningRequestRefused("the signing request must be made with an ECDSA key on P-256")
    if not proven:
        raise SigningRequestRefused("the signing request is not signed by its own key")
    return key


def key_digest(key: ec.EllipticCurvePublicKey) -> str:
    """Return the hexadecimal SHA-256 of a public key (SubjectPublicKeyInfo, DER)."""
    encoded = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(encoded).hexdigest()


def moment(time: int) -> datetime:
    """Return UTC microseconds as a datetime, cut to whole seconds as certificates hold them."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=time // 1_000_000)


def microseconds(time: datetime) -> int:
    """Return an aware datetime as UTC microseconds."""
    return (time - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _new_authority(now: int) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, "Pilotage authority " + key_digest(key.public_key())[:12])]
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(moment(now - CLOCK_SKEW))
        .not_valid_after(moment(now + AUTHORITY_LIFE))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return _private_pem(key) + certificate.public_bytes(serialization.Encoding.PEM)


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
