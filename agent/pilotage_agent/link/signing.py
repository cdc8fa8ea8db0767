"""What is done with the agent's private key and its certificates, apart from TLS: requests, proofs, and the check of
what a coordinator issued.

A running agent needs this twice in a certificate's life and lets a child process do it (`in_child`): the libraries
would stay in its memory for good. `python -m pilotage_agent.link.signing` is that child: one JSON object in, one out.
"""

import base64
import hashlib
import json
import sys
from collections.abc import Iterable

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pilotage_agent.errors import EnrolmentFailed


def new_key() -> bytes:
    """Make a key of the only kind that the transport takes (SECURITY, Identity); PEM, PKCS#8."""
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def signing_request(key_pem: bytes, name: str) -> bytes:
    """Return a PKCS#10 request, DER; the server takes only the key from it."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, (name or "agent")[:64])])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(_key(key_pem), hashes.SHA256())
    return request.public_bytes(serialization.Encoding.DER)


def checked_chain(certificates: Iterable[bytes], key_pem: bytes, pin: str) -> tuple[bytes, ...]:
    """Return what the server issued, when it is for our key and by the pinned CA; raises EnrolmentFailed."""
    chain = tuple(certificates)
    try:
        own = x509.load_der_x509_certificate(chain[0])
    except (IndexError, ValueError) as error:
        raise EnrolmentFailed(f"the coordinator sent no certificate that can be read: {error}") from error
    if own.public_key() != _key(key_pem).public_key():
        raise EnrolmentFailed("the coordinator sent a certificate for another key")
    if len(chain) < 2 or hashlib.sha256(chain[-1]).hexdigest() != pin:
        raise EnrolmentFailed("the certificate that the coordinator sent is not from the authority that we trust")
    return chain


def renewal_proof(key_pem: bytes, at: int, request: bytes) -> bytes:
    """Return the signature by which an expired certificate's owner shows that it has the key."""
    return _key(key_pem).sign(renewal_digest(at, request), ec.ECDSA(hashes.SHA256()))


def renewal_digest(at: int, request: bytes) -> bytes:
    """Return SHA-256("pilotage renew\\n" + at + "\\n" + request), `at` in decimal digits: what the proof signs."""
    return hashlib.sha256(b"pilotage renew\n" + str(at).encode() + b"\n" + request).digest()


def _key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(pem, None)
    except (ValueError, TypeError) as error:
        raise EnrolmentFailed(f"the agent's private key cannot be read: {error}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise EnrolmentFailed("the agent's private key is no elliptic curve key")
    return key


def main() -> None:
    """Be the child: `{"key", "name", "at"}` gives request and proof, `{"key", "chain", "pin"}` checks a chain."""
    task = json.load(sys.stdin)
    key = task["key"].encode()
    try:
        if "chain" in task:
            checked_chain([base64.b64decode(one) for one in task["chain"]], key, task["pin"])
            answer = {}
        else:
            request = signing_request(key, task["name"])
            proof = renewal_proof(key, task["at"], request)
            answer = {"request": base64.b64encode(request).decode(), "proof": base64.b64encode(proof).decode()}
    except EnrolmentFailed as error:
        answer = {"error": str(error)}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
