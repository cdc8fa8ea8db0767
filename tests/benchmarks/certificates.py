"""A certificate authority for the ceiling, so that it speaks mutual TLS without any code of Pilotage."""

import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NAME = "bare"
_PEM = serialization.Encoding.PEM


def make_certificates(folder: Path) -> None:
    """Write an authority, and a key and certificate each for server and agent."""
    authority = ec.generate_private_key(ec.SECP256R1())
    root = _sign(authority, authority.public_key(), "authority", authority=True)
    (folder / "authority.pem").write_bytes(root.public_bytes(_PEM))
    for name in ("server", "agent"):
        key = ec.generate_private_key(ec.SECP256R1())
        plain = serialization.NoEncryption()
        (folder / f"{name}.key").write_bytes(key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, plain))
        (folder / f"{name}.pem").write_bytes(_sign(authority, key.public_key(), NAME).public_bytes(_PEM))


def credentials_of(folder: Path, name: str) -> tuple[bytes, bytes, bytes]:
    """Return key, certificate and authority of a party, as PEM."""
    files = (f"{name}.key", f"{name}.pem", "authority.pem")
    key, own, authority = ((folder / file).read_bytes() for file in files)
    return key, own, authority


def _sign(
    signer: ec.EllipticCurvePrivateKey, key: ec.EllipticCurvePublicKey, name: str, *, authority: bool = False
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")]))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(signer, hashes.SHA256())
    )
