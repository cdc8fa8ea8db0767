"""Who is at the other end of a connection: what its certificate says, and nothing else."""

from dataclasses import dataclass

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pilotage_coordinator.fleet.errors import FleetError
from pilotage_coordinator.security.authority import HOST_URI, microseconds


class NotAnAgent(FleetError):
    """The certificate is of our authority, perhaps, but does not make its bearer an agent."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A host, by its certificate. `expires_at` is UTC microseconds."""

    host_id: str
    host: str
    serial: str
    expires_at: int


def read_peer(certificate: x509.Certificate) -> Peer:
    """Return the host that a certificate names; raises NotAnAgent unless its role is that of an agent.

    The signature is the caller's business: TLS has verified it, or `Authority.issued` does.
    """
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
        common_names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError) as error:
        raise NotAnAgent("the certificate has no role in it; agents get theirs by joining") from error
    if len(uris) != 1 or len(names) != 1 or not uris[0].startswith(HOST_URI) or len(common_names) != 1:
        raise NotAnAgent(f"the certificate does not name one host ({HOST_URI}…)")
    if list(usage) != [ExtendedKeyUsageOID.CLIENT_AUTH]:
        raise NotAnAgent("the certificate is not one for clients")
    return Peer(
        host_id=uris[0].removeprefix(HOST_URI),
        host=str(common_names[0].value),
        serial=f"{certificate.serial_number:x}",
        expires_at=microseconds(certificate.not_valid_after_utc),
    )
