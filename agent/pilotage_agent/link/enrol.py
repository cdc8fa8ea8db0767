"""Joining a coordinator with a token: the server is proved by the pinned CA before the token leaves this machine."""

import asyncio
import base64
import binascii
import hashlib
import json
import socket
import ssl
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from pilotage_proto.v1 import fleet_pb2 as pb

from pilotage_agent.errors import EnrolmentFailed
from pilotage_agent.identity import (
    Enrolment,
    Identity,
    pem_of,
    save_identity,
    write_private,
)
from pilotage_agent.link.enrol_call import CALL_SECONDS, call_enrolment
from pilotage_agent.link.signing import checked_chain, new_key, signing_request
from pilotage_agent.sealing import SealingKey

PREFIX: Final = "plg1."
HANDSHAKE_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class JoinToken:
    """What `pilotage host token` printed: where to enrol, the CA's SHA-256, the secret, and perhaps a host name."""

    address: str
    ca_pin: str
    secret: str = field(repr=False)
    name: str = ""

    @classmethod
    def parse(cls, text: str) -> "JoinToken":
        """Read a token; raises EnrolmentFailed without quoting it."""
        text = text.strip()
        if not text.startswith(PREFIX):
            raise EnrolmentFailed(f"this is no join token: one begins with {PREFIX} and comes from pilotage host token")
        body = text.removeprefix(PREFIX)
        try:
            data = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
            token = cls(str(data["a"]), str(data["p"]).lower(), str(data["t"]), str(data.get("n") or ""))
            if len(bytes.fromhex(token.ca_pin)) != 32:
                raise ValueError
            split_address(token.address)
        except (ValueError, KeyError, TypeError, AttributeError, binascii.Error):
            raise EnrolmentFailed("the join token is damaged: copy the whole line, or make a new one") from None
        return token

    def reached_at(self, host: str) -> "JoinToken":
        """Return the same token for a coordinator that this machine reaches under another name or address."""
        return replace(self, address=_joined(host, split_address(self.address)[1]))


def split_address(address: str) -> tuple[str, int]:
    """Return host and port of `host:port` or `[v6]:port`; raises ValueError."""
    host, _, port = address.rpartition(":")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def join(token: JoinToken, proposed_name: str, joining: Path, agent_version: str, *, reach: str = "") -> Identity:
    """Trade a token for an identity, which the caller saves; raises EnrolmentFailed.

    `reach` is the name or address by which this machine reaches the coordinator, now and later, if not by its own.

    The keys are kept in the folder `joining` until then, so that a repeated call after a lost answer is the same
    request, which the server answers again.
    """
    token = token.reached_at(reach) if reach else token
    authority = await asyncio.to_thread(fetch_authority, token.address, token.ca_pin)
    key, sealing_key = _keys_for(token, joining)
    request = pb.JoinRequest(
        token=token.secret,
        signing_request=signing_request(key, proposed_name),
        proposed_name=proposed_name,
        sealing_key=sealing_key.public,
        agent_version=agent_version,
    )

    async def call(stub: Any) -> pb.JoinResponse:
        response: pb.JoinResponse = await stub.Join(request, timeout=CALL_SECONDS)
        return response

    response = await call_enrolment(token.address, pem_of(authority), call)
    certificates = checked_chain(response.certificates, key, token.ca_pin)
    host, port = split_address(response.fleet_address)
    dialled, _ = split_address(token.address)
    host = reach or host or dialled
    enrolment = Enrolment(
        host_id=response.host_id,
        host_name=response.host_name,
        fleet_address=_joined(host, port),
        enrol_address=token.address,
        ca_pin=token.ca_pin,
        sealing_key_receipt=response.sealing_key_receipt.hex(),
    )
    return Identity(key, sealing_key, certificates, enrolment)


def finish_joining(identity: Identity, folder: Path, joining: Path) -> None:
    """Save a new identity and forget the keys' waiting place."""
    save_identity(folder, identity)
    for path in joining.glob("*"):
        path.unlink()
    joining.rmdir()


def fetch_authority(address: str, pin: str) -> bytes:
    """Return, as DER, the certificate with this SHA-256 from the chain that the server shows.

    Nothing is believed here but the pin; the real connection is then made with that certificate as its only root.
    Blocks; raises EnrolmentFailed.
    """
    try:
        chain = _shown_chain(*split_address(address))
    except (OSError, ValueError) as error:
        raise EnrolmentFailed(
            f"no coordinator can be reached at {address}: {error}. Is it running, and is the port open from here?"
        ) from error
    for certificate in chain:
        if hashlib.sha256(certificate).hexdigest() == pin:
            return certificate
    raise EnrolmentFailed(
        f"what answers at {address} is not the coordinator that made this token: its certificate authority has another"
        " fingerprint. The token was not sent. Somebody may be in between; make a new token and compare"
    )


def _keys_for(token: JoinToken, joining: Path) -> tuple[bytes, SealingKey]:
    """Return the keys of an earlier try with this token, or new ones."""
    name = hashlib.sha256(token.secret.encode()).hexdigest()[:16]
    key_file, sealing_file = joining / f"{name}.pem", joining / f"{name}.sealing"
    joining.mkdir(parents=True, exist_ok=True, mode=0o700)
    if key_file.exists() and sealing_file.exists():
        return key_file.read_bytes(), SealingKey.from_bytes(sealing_file.read_bytes())
    fresh, sealing_key = new_key(), SealingKey.generate()
    write_private(key_file, fresh)
    write_private(sealing_file, sealing_key.to_bytes())
    return fresh, sealing_key


def _shown_chain(host: str, port: int) -> list[bytes]:
    """Return the certificates that a TLS server sends, unverified."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["h2"])
    with (
        socket.create_connection((host, port), timeout=HANDSHAKE_SECONDS) as plain,
        context.wrap_socket(plain, server_hostname=host) as secured,
    ):
        shown: Any = secured
        if sys.version_info >= (3, 13):
            return list(shown.get_unverified_chain())
        # Before 3.13 the chain is only to be had from the object underneath.
        return [_der(certificate) for certificate in shown._sslobj.get_unverified_chain()]


def _der(certificate: Any) -> bytes:
    return ssl.PEM_cert_to_DER_cert(certificate.public_bytes())
