"""Attacks on enrolment and sessions that must fail (SECURITY: Attacks that must fail)."""

import asyncio
import hashlib
import os
import socket
import ssl
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from pilotage_coordinator.security.authority import open_authority
from pilotage_coordinator.security.brake import MOST_PER_SOURCE
from pilotage_coordinator.security.tokens import parse_token
from pilotage_proto.v1 import fleet_pb2 as pb

from tests.integration.fleet.fleet_site import (
    Identity,
    Site,
    enrolment_stub,
    fleet_stub,
    pem,
    private_pem,
    raw_public,
    signing_request,
)
from tests.unit.fleet.agent_items import assignment, heartbeat, hello, journal, key, log, result, started


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with Site(tmp_path) as site:
        yield site


def refused(code: grpc.StatusCode, text: str) -> Any:
    return pytest.raises(grpc.aio.AioRpcError, match=f"(?s){code.name}.*{text}")


# Joining


async def test_a_token_works_once(site: Site) -> None:
    token = site.token()
    await site.join(token, "db1")
    with refused(grpc.StatusCode.UNAUTHENTICATED, "used already"):
        await site.join(token, "db2")
    assert [host.name for host in site.registry.hosts.values()] == ["db1"]


async def test_a_token_used_by_many_at_once_enrols_one(site: Site) -> None:
    token = site.token()
    answers = await asyncio.gather(*(site.join(token, f"db{n}") for n in range(5)), return_exceptions=True)
    assert sum(isinstance(answer, Identity) for answer in answers) == 1
    assert len(site.registry.hosts) == 1


async def test_a_lost_answer_is_repeated_for_the_same_key_only_while_the_token_lives(site: Site) -> None:
    token, pair, sealing = site.token(), ec.generate_private_key(ec.SECP256R1()), X25519PrivateKey.generate()
    first = await site.join(token, "db1", pair, sealing)
    second = await site.join(token, "db1", pair, sealing)
    assert (first.host_id, first.name) == (second.host_id, second.name)
    # Had the first request died before the planner was told, the second tells it.
    assert site.joined == ["db1", "db1"]
    site.clock_offset += 16 * 60 * 1_000_000
    with refused(grpc.StatusCode.UNAUTHENTICATED, "expired"):
        await site.join(token, "db1", pair, sealing)


async def test_an_expired_token_is_refused(site: Site) -> None:
    with refused(grpc.StatusCode.UNAUTHENTICATED, "expired"):
        await site.join(site.token(life=-1))


async def test_a_bound_token_gives_no_other_name_and_the_requested_subject_is_ignored(site: Site) -> None:
    identity = await site.join(site.token(name="db7"), "admin")
    assert identity.name == "db7"
    (common_name,) = identity.certificate.subject
    assert common_name.value == "db7"
    names = identity.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [f"pilotage://host/{identity.host_id}"]


async def test_names_are_unique_and_well_formed(site: Site) -> None:
    await site.join(site.token(), "db1")
    with refused(grpc.StatusCode.ALREADY_EXISTS, "db1 is enrolled already"):
        await site.join(site.token(), "db1")
    for name in ("", "Db1", "-db", "a" * 64, "db1\n", "../x", "db 1"):
        with refused(grpc.StatusCode.INVALID_ARGUMENT, "is no host name"):
            await site.join(site.token(), name)


async def test_keys_that_are_no_p256_or_not_proven_are_refused(site: Site) -> None:
    weak = [signing_request(ec.generate_private_key(ec.SECP384R1())), b"", b"\x30\x03\x02\x01\x00", os.urandom(300)]
    ed = ed25519.Ed25519PrivateKey.generate()
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    weak.append(builder.sign(ed, None).public_bytes(serialization.Encoding.DER))
    unproven = bytearray(signing_request(ec.generate_private_key(ec.SECP256R1())))
    unproven[-1] ^= 1
    weak.append(bytes(unproven))
    async with site.door() as channel:
        for request in weak:
            join = pb.JoinRequest(
                token=parse_token(site.token()).secret,
                signing_request=request,
                proposed_name="db1",
                sealing_key=raw_public(X25519PrivateKey.generate()),
            )
            with refused(grpc.StatusCode.INVALID_ARGUMENT, "signing request"):
                await enrolment_stub(channel).Join(join)
        low = pb.JoinRequest(
            token=parse_token(site.token()).secret,
            signing_request=signing_request(ec.generate_private_key(ec.SECP256R1())),
            proposed_name="db1",
            sealing_key=bytes(32),
        )
        with refused(grpc.StatusCode.INVALID_ARGUMENT, "low order"):
            await enrolment_stub(channel).Join(low)
    assert not site.registry.hosts


async def test_guessing_tokens_is_slowed_down(site: Site) -> None:
    async with site.door() as channel:
        for _ in range(MOST_PER_SOURCE):
            with refused(grpc.StatusCode.UNAUTHENTICATED, "unknown"):
                await enrolment_stub(channel).Join(pb.JoinRequest(token="guess"))
        with refused(grpc.StatusCode.RESOURCE_EXHAUSTED, "a minute"):
            await enrolment_stub(channel).Join(pb.JoinRequest(token="guess"))


async def test_a_door_with_another_authority_is_not_entered(site: Site, tmp_path: Path) -> None:
    stranger = open_authority(tmp_path / "stranger.pem", site.now())
    token = parse_token(site.token())
    assert token.pin == site.authority.pin
    assert token.pin != stranger.pin
    async with site.door(stranger.certificate_pem) as channel:
        with refused(grpc.StatusCode.UNAVAILABLE, ""):
            await enrolment_stub(channel).Join(pb.JoinRequest(token=token.secret), timeout=5)


# TLS and roles


def tls(port: int, authority: bytes, version: ssl.TLSVersion, chain: Path | None = None) -> str | None:
    context = ssl.create_default_context(cadata=authority.decode())
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = version
    context.set_alpn_protocols(["h2"])
    if chain is not None:
        context.load_cert_chain(chain)
    with (
        socket.create_connection(("127.0.0.1", port), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname="pilotage-coordinator") as secure,
    ):
        return secure.version()


async def test_only_tls_1_3_is_spoken(site: Site, tmp_path: Path) -> None:
    identity = await site.host()
    chain = tmp_path / "agent.pem"
    chain.write_bytes(private_pem(identity.key) + pem(*identity.chain))
    authority = site.authority.certificate_pem
    for port in (site.server.fleet_port, site.server.enrolment_port):
        assert await asyncio.to_thread(tls, port, authority, ssl.TLSVersion.TLSv1_3, chain) == "TLSv1.3"
        with pytest.raises(ssl.SSLError):
            await asyncio.to_thread(tls, port, authority, ssl.TLSVersion.TLSv1_2, chain)


async def test_the_fleet_port_wants_a_certificate_of_our_authority(site: Site, tmp_path: Path) -> None:
    stranger = open_authority(tmp_path / "stranger.pem", site.now())
    pair = ec.generate_private_key(ec.SECP256R1())
    issued = stranger.issue_client(pair.public_key(), "host_1", "db1", site.now())
    forged = Identity(pair, X25519PrivateKey.generate(), issued.chain, "host_1", "db1")
    for identity in (None, forged):
        async with site.fleet(identity) as channel:
            with pytest.raises(grpc.aio.AioRpcError):
                await fleet_stub(channel).Renew(pb.RenewRequest(), timeout=5)
    assert not site.listener.calls


def odd_certificate(site: Site, alternative: x509.GeneralName) -> Identity:
    """Return an identity that our authority signed for another purpose than being an agent."""
    pair = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "db1")]))
        .issuer_name(site.authority.certificate.subject)
        .public_key(pair.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(site.authority.key, hashes.SHA256())
    )
    der = certificate.public_bytes(serialization.Encoding.DER)
    return Identity(pair, X25519PrivateKey.generate(), [der, site.authority.certificate_der], "host_1", "db1")


async def test_a_certificate_of_our_authority_without_the_role_is_refused(site: Site) -> None:
    await site.host("db1")
    for alternative in (
        x509.DNSName("pilotage-coordinator"),
        x509.UniformResourceIdentifier("pilotage://operator/host_1"),
    ):
        async with site.fleet(odd_certificate(site, alternative)) as channel:
            with refused(grpc.StatusCode.PERMISSION_DENIED, "certificate"):
                await fleet_stub(channel).Renew(pb.RenewRequest(), timeout=5)
            call: Any = fleet_stub(channel).Session()
            with refused(grpc.StatusCode.PERMISSION_DENIED, "certificate"):
                await read_all(call)
    assert not site.listener.calls


async def test_the_servers_own_certificate_opens_nothing(site: Site) -> None:
    server = site.authority.issue_server((), site.now())
    pair = serialization.load_pem_private_key(server.key, None)
    assert isinstance(pair, ec.EllipticCurvePrivateKey)
    certificates = x509.load_pem_x509_certificates(server.chain)
    chain = [certificate.public_bytes(serialization.Encoding.DER) for certificate in certificates]
    async with site.fleet(Identity(pair, X25519PrivateKey.generate(), chain, "", "")) as channel:
        with pytest.raises(grpc.aio.AioRpcError):
            await fleet_stub(channel).Renew(pb.RenewRequest(), timeout=5)


async def read_all(call: Any) -> None:
    while await call.read() is not grpc.aio.EOF:
        pass


async def test_a_certificate_that_was_never_recorded_is_refused(site: Site) -> None:
    identity = await site.host()
    pair = ec.generate_private_key(ec.SECP256R1())
    unrecorded = site.authority.issue_client(pair.public_key(), identity.host_id, "db1", site.now())
    thief = replace(identity, key=pair, chain=unrecorded.chain)
    async with site.agent(thief) as agent:
        await agent.send(hello())
        (refusal,) = await agent.until("refusal")
        assert refusal.reason == pb.REFUSAL_REASON_REVOKED


# Sessions


async def test_an_agent_that_reports_for_another_host_is_cut_off(site: Site) -> None:
    for item in (result(key(host="db2")), started(key(host="db2")), log(key(host="db2"), b"x\n")):
        name = f"a{len(site.registry.hosts)}"
        async with site.agent(await site.host(name)) as agent:
            await agent.send(hello(), journal())
            await site.listener.until("ready", len(site.registry.hosts))
            await agent.send(item)
            (refusal,) = await agent.until("refusal")
            assert refusal.reason == pb.REFUSAL_REASON_BAD_MESSAGE
            assert "another host" in refusal.message
            await agent.until_ended()
    assert {call[0] for call in site.listener.calls} <= {"opened", "ready", "closed"}


async def test_a_copied_identity_puts_both_in_quarantine(site: Site) -> None:
    identity = await site.host()
    async with site.agent(identity) as original, site.agent(identity) as copy:
        await original.send(hello(instance="ins_1", counter=1), journal())
        await site.listener.until("ready")
        await copy.send(hello(instance="ins_2", counter=2), journal())
        (ping,) = await original.until("ping")
        await original.send(heartbeat(ping.nonce))
        for agent in (original, copy):
            (refusal,) = await agent.until("refusal")
            assert refusal.reason == pb.REFUSAL_REASON_QUARANTINED
            assert not refusal.retry
    async with site.agent(identity) as again:
        await again.send(hello(instance="ins_1", counter=3), journal())
        (refusal,) = await again.until("refusal")
        assert refusal.reason == pb.REFUSAL_REASON_QUARANTINED
    assert len(site.listener.named("opened")) == 1


async def test_a_revoked_host_loses_its_stream_within_five_seconds(site: Site) -> None:
    identity = await site.host()
    async with site.agent(identity) as agent:
        await agent.send(hello(), journal())
        await site.listener.until("ready")
        begin = time.monotonic()
        site.registry.revoke(identity.host_id)
        (refusal,) = await agent.until("refusal")
        await agent.until_ended()
        assert time.monotonic() - begin < 5
        assert refusal.reason == pb.REFUSAL_REASON_REVOKED
    async with site.agent(identity) as agent:
        await agent.send(hello(counter=2), journal())
        (refusal,) = await agent.until("refusal")
        assert refusal.reason == pb.REFUSAL_REASON_REVOKED
    async with site.fleet(identity) as channel:
        with refused(grpc.StatusCode.PERMISSION_DENIED, "revoked"):
            await fleet_stub(channel).Renew(pb.RenewRequest(signing_request=signing_request(identity.key)))


async def test_disconnect_cuts_off_an_agent_that_does_not_read(site: Site) -> None:
    identity = await site.host()
    async with site.fleet(identity) as channel:
        call = fleet_stub(channel).Session()
        await call.write(pb.SessionRequest(items=[hello(slots=1_000), journal()]))
        await site.listener.until("ready")
        for number in range(200):
            site.roster.assign(assignment(key(number), {"blob": "x" * 200_000}))
        site.registry.revoke(identity.host_id)
        begin = time.monotonic()
        await site.roster.disconnect("db1", "revoked")
        assert not site.roster.online("db1")
        await site.listener.until("closed")
        assert time.monotonic() - begin < 3
        call.cancel()


async def test_a_denied_certificate_is_cut_off_though_its_host_is_trusted(site: Site) -> None:
    identity = await site.host()
    async with site.agent(identity) as agent:
        await agent.send(hello(), journal())
        await site.listener.until("ready")
        site.registry.deny(f"{identity.certificate.serial_number:x}")
        (refusal,) = await agent.until("refusal")
        assert "certificate" in refusal.message


async def test_a_stream_does_not_outlive_its_certificate(site: Site) -> None:
    async with site.agent(await site.host()) as agent:
        await agent.send(hello(), journal())
        await site.listener.until("ready")
        site.clock_offset += 25 * 3600 * 1_000_000
        await agent.until("goodbye")
        await agent.until_ended()


async def test_garbage_frames_end_one_stream_and_harm_no_other(site: Site) -> None:
    good, bad = await site.host("good"), await site.host("bad")
    async with site.agent(good) as agent, site.fleet(bad) as channel:
        await agent.send(hello(), journal())
        await site.listener.until("ready")
        raw = channel.stream_stream(
            "/pilotage_proto.v1.FleetService/Session", request_serializer=bytes, response_deserializer=bytes
        )
        for frame in (os.urandom(5_000), b"\xff" * 100, b"\x0a\xff\xff\xff\xff\x0f"):
            call: Any = raw()
            await call.write(frame)
            refusal = pb.SessionResponse.FromString(await call.read()).items[0].refusal
            assert refusal.reason == pb.REFUSAL_REASON_BAD_MESSAGE
            assert await call.read() is grpc.aio.EOF
        call = raw()
        await call.write(bytes(5 * 1024 * 1024))
        with refused(grpc.StatusCode.RESOURCE_EXHAUSTED, "larger than max"):
            await read_all(call)
        assert site.roster.online("good")


async def test_a_flood_waits_for_the_runtime_and_memory_stays_bounded(site: Site) -> None:
    async with site.agent(await site.host("flood")) as agent, site.agent(await site.host("calm")) as calm:
        await agent.send(hello(), journal())
        await calm.send(hello(), journal())
        await site.listener.until("ready", 2)
        site.listener.gate.clear()
        sent = 0

        async def flood() -> None:
            nonlocal sent
            while True:
                await agent.send(
                    *(result(key(n, "flood")) for n in range(sent, sent + 100)), log(key(1, "flood"), b"x" * 90_000)
                )
                sent += 100

        flooding = asyncio.create_task(flood())
        before = -1
        while before != sent:
            before = sent
            await asyncio.sleep(0.2)
        assert site.listener.results_begun <= 200
        assert sent < 20_000
        await calm.send(log(key(1, "calm"), b"y\n"))
        await calm.until("log_ack")
        flooding.cancel()


# Renewal


async def test_renewal_ignores_the_subject_and_keeps_the_host(site: Site) -> None:
    identity = await site.host()
    pair = ec.generate_private_key(ec.SECP256R1())
    async with site.fleet(identity) as channel:
        answer = await fleet_stub(channel).Renew(pb.RenewRequest(signing_request=signing_request(pair, "db9")))
    renewed = replace(identity, key=pair, chain=list(answer.certificates))
    assert renewed.certificate.subject == identity.certificate.subject
    async with site.agent(renewed) as agent:
        await agent.send(hello(), journal())
        await site.listener.until("ready")
        assert site.roster.online("db1")


async def test_a_replayed_renewal_gives_nothing_to_who_lacks_the_key(site: Site) -> None:
    """The same request sent from another host's connection yields a certificate for that other host only."""
    first, second = await site.host("db1"), await site.host("db2")
    captured = pb.RenewRequest(signing_request=signing_request(first.key, "db1"))
    async with site.fleet(second) as channel:
        answer = await fleet_stub(channel).Renew(captured)
    (name,) = x509.load_der_x509_certificate(answer.certificates[0]).subject
    assert name.value == "db2"


async def test_an_agent_cannot_fill_the_registry_with_renewals(site: Site) -> None:
    identity, other = await site.host("db1"), await site.host("db2")
    request = pb.RenewRequest(signing_request=signing_request(identity.key))
    async with site.fleet(identity) as channel:
        for _ in range(MOST_PER_SOURCE):
            await fleet_stub(channel).Renew(request)
        with refused(grpc.StatusCode.RESOURCE_EXHAUSTED, "too often"):
            await fleet_stub(channel).Renew(request)
    async with site.fleet(other) as channel:
        await fleet_stub(channel).Renew(request)


def expired_proof(site: Site, identity: Identity, pair: ec.EllipticCurvePrivateKey, at: int) -> pb.RenewExpiredRequest:
    request = signing_request(pair)
    message = hashlib.sha256(b"pilotage renew\n" + str(at).encode() + b"\n" + request).digest()
    return pb.RenewExpiredRequest(
        expired_certificate=identity.chain[0],
        signing_request=request,
        at=at,
        proof=identity.key.sign(message, ec.ECDSA(hashes.SHA256())),
    )


async def test_renewal_after_expiry_by_proof_once(site: Site, tmp_path: Path) -> None:
    identity, other = await site.host("db1"), await site.host("db2")
    pair = ec.generate_private_key(ec.SECP256R1())
    async with site.door() as channel:
        stub = enrolment_stub(channel)
        proof = expired_proof(site, identity, pair, site.now())
        answer = await stub.RenewExpired(proof)
        renewed = replace(identity, key=pair, chain=list(answer.certificates))
        assert renewed.certificate.subject == identity.certificate.subject
        assert site.enrolment.renewed_after_expiry == 1
        with refused(grpc.StatusCode.PERMISSION_DENIED, "used already"):
            await stub.RenewExpired(proof)
        with refused(grpc.StatusCode.PERMISSION_DENIED, "clock"):
            await stub.RenewExpired(expired_proof(site, identity, pair, site.now() - 301 * 1_000_000))
        changed = expired_proof(site, identity, pair, site.now())
        changed.at += 1
        stolen = expired_proof(site, replace(identity, key=other.key), pair, site.now())
        stranger = open_authority(tmp_path / "stranger.pem", site.now())
        foreign = stranger.issue_client(identity.key.public_key(), identity.host_id, "db1", site.now())
        forged = expired_proof(site, replace(identity, chain=foreign.chain), pair, site.now())
        for request in (changed, stolen, forged):
            with refused(grpc.StatusCode.PERMISSION_DENIED, "proof is wrong"):
                await stub.RenewExpired(request)
        site.registry.revoke(identity.host_id)
        with refused(grpc.StatusCode.PERMISSION_DENIED, "revoked"):
            await stub.RenewExpired(expired_proof(site, identity, pair, site.now()))
