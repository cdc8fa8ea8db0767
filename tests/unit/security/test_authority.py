"""The authority and what it issues."""

import stat
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from pilotage_coordinator.security.authority import (
    AUTHORITY_LIFE,
    CLIENT_LIFE,
    CLOCK_SKEW,
    SERVER_LIFE,
    SERVER_NAME,
    microseconds,
    moment,
    open_authority,
    read_signing_request,
)
from pilotage_coordinator.security.errors import AuthorityError, SigningRequestRefused

NOW = 1_700_000_000_000_000


def request(key: ec.EllipticCurvePrivateKey, *extra: x509.ExtensionType) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "root")])
    )
    for extension in extra:
        builder = builder.add_extension(extension, critical=True)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def test_it_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    file = tmp_path / "state" / "authority.pem"
    first = open_authority(file, NOW)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [entry.name for entry in file.parent.iterdir()] == ["authority.pem"]
    again = open_authority(file, NOW + 1)
    assert again.pin == first.pin
    assert isinstance(first.key.curve, ec.SECP256R1)


def test_an_exposed_damaged_or_ended_authority_is_refused(tmp_path: Path) -> None:
    file, other = tmp_path / "a.pem", tmp_path / "b.pem"
    open_authority(file, NOW)
    open_authority(other, NOW)
    with pytest.raises(AuthorityError, match="hosts must join anew"):
        open_authority(file, NOW + AUTHORITY_LIFE + 1_000_000)
    file.chmod(0o640)
    with pytest.raises(AuthorityError, match="chmod go="):
        open_authority(file, NOW)
    file.chmod(0o600)
    key_part = file.read_text().split("-----BEGIN CERTIFICATE")[0]
    file.write_text(key_part + "-----BEGIN CERTIFICATE" + other.read_text().split("-----BEGIN CERTIFICATE")[1])
    with pytest.raises(AuthorityError, match="do not belong together"):
        open_authority(file, NOW)
    file.write_text("")
    with pytest.raises(AuthorityError, match="restore it from a backup"):
        open_authority(file, NOW)


def test_an_agents_certificate_says_who_it_is_and_no_more(tmp_path: Path) -> None:
    authority = open_authority(tmp_path / "a.pem", NOW)
    key = ec.generate_private_key(ec.SECP256R1())
    wishes = x509.BasicConstraints(ca=True, path_length=None)
    issued = authority.issue_client(read_signing_request(request(key, wishes)), "host_1", "db1", NOW)
    certificate = x509.load_der_x509_certificate(issued.chain[0])
    assert certificate.subject.rfc4514_string() == "CN=db1"
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert list(names) == [x509.UniformResourceIdentifier("pilotage://host/host_1")]
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert certificate.not_valid_after_utc == moment(NOW + CLIENT_LIFE)
    assert certificate.not_valid_before_utc == moment(NOW - CLOCK_SKEW)
    assert issued.serial == f"{certificate.serial_number:x}"
    assert issued.chain[1] == authority.certificate_der
    assert authority.issued(certificate)
    assert not open_authority(tmp_path / "b.pem", NOW).issued(certificate)


def test_the_servers_certificate_has_its_names_and_is_renewed_at_half(tmp_path: Path) -> None:
    authority = open_authority(tmp_path / "a.pem", NOW)
    identity = authority.issue_server(["fleet.example", "192.0.2.1", "::1", SERVER_NAME], NOW)
    certificate, root = x509.load_pem_x509_certificates(identity.chain)
    assert root == authority.certificate
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [SERVER_NAME, "fleet.example"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["192.0.2.1", "::1"]
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert identity.renew_at == NOW + SERVER_LIFE // 2


def test_no_certificate_outlives_the_authority(tmp_path: Path) -> None:
    authority = open_authority(tmp_path / "a.pem", NOW)
    late = NOW + AUTHORITY_LIFE - 3_600_000_000
    issued = authority.issue_client(authority.key.public_key(), "host_1", "db1", late)
    assert issued.expires_at == authority.expires_at


def test_requests_must_prove_a_p256_key() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    assert read_signing_request(request(key)) == key.public_key()
    unproven = bytearray(request(key))
    unproven[-1] ^= 1
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    edwards = builder.sign(ed25519.Ed25519PrivateKey.generate(), None).public_bytes(serialization.Encoding.DER)
    for bad, text in (
        (bytes(unproven), "signed by its own key"),
        (edwards, "P-256"),
        (request(ec.generate_private_key(ec.SECP384R1())), "P-256"),
        (b"", "PKCS#10"),
        (b"\x30" * 100, "PKCS#10"),
        (bytes(20_000), "at most"),
    ):
        with pytest.raises(SigningRequestRefused, match=text):
            read_signing_request(bad)


def test_moments_and_microseconds_agree_on_whole_seconds() -> None:
    assert microseconds(moment(NOW + 1)) == NOW
    assert moment(NOW) - moment(0) == timedelta(seconds=1_700_000_000)
