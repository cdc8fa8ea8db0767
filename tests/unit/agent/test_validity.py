"""The times that the agent reads from a certificate by itself are those that the library reads."""

from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from pilotage_agent.validity import validity_of


def certificate(begin: datetime, end: datetime, name: str = "db1") -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number(), begin, end)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        (datetime(2026, 11, 24, 4, 0, 1, tzinfo=UTC), datetime(2026, 11, 25, 4, 0, 2, tzinfo=UTC)),
        (datetime(1999, 12, 31, 23, 59, 59, tzinfo=UTC), datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC)),
        (datetime(1969, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
        (datetime(1950, 1, 1, tzinfo=UTC), datetime(2050, 1, 1, tzinfo=UTC)),
    ],
)
def test_both_kinds_of_time_are_read(begin: datetime, end: datetime) -> None:
    der = certificate(begin, end, "a name that makes lengths of more than one byte ")
    read = x509.load_der_x509_certificate(der)
    assert validity_of(der) == (read.not_valid_before_utc, read.not_valid_after_utc) == (begin, end)


def test_what_is_cut_or_no_certificate_is_refused_and_nothing_else_is_raised() -> None:
    der = certificate(datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))
    for length in range(len(der)):
        with pytest.raises(ValueError, match="certificate"):
            validity_of(der[:length])
    for place in range(len(der)):
        broken = bytearray(der)
        broken[place] ^= 0xFF
        try:
            validity_of(bytes(broken))
        except ValueError:
            continue
