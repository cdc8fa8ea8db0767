"""A session over real gRPC and mutual TLS."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from grpc_health.v1 import health_pb2, health_pb2_grpc
from pilotage_coordinator.domain.fleet import Query, QueryPurpose
from pilotage_coordinator.runtime.fleet_port import HostUnreachable
from pilotage_proto.v1 import fleet_pb2 as pb

from tests.integration.fleet.fleet_site import EPOCH, Site, raw_public
from tests.unit.fleet.agent_items import accepted, assignment, hello, journal, key, log, result, started


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with Site(tmp_path) as site:
        yield site


async def test_one_step_from_hello_to_ack(site: Site) -> None:
    identity = await site.host("db1")
    assert identity.name == "db1"
    async with site.agent(identity) as agent:
        await agent.send(hello(), journal())
        (welcome,) = await agent.until("welcome")
        assert (welcome.protocol, welcome.epoch, welcome.heartbeat_seconds) == (1, EPOCH, 10)
        await site.listener.until("ready")
        assert site.roster.online("db1")
        assert site.roster.sealing_key("db1") == raw_public(identity.sealing)
        site.roster.assign(assignment(key()))
        (sent,) = await agent.until("assignment")
        assert sent.parameters == b'{"argv":["true"]}'
        assert sent.timeout_ms == 1_500
        await agent.send(accepted(key()), started(key()), log(key(), b'{"m":1}\n'), result(key()))
        await agent.until("result_ack")
        (ack,) = await agent.until("log_ack")
        assert ack.offset == 8
    await site.listener.until("closed")
    names = [call[0] for call in site.listener.calls]
    assert names == ["opened", "ready", "accepted", "started", "log", "result", "closed"]
    assert site.listener.named("result")[0][1] == "db1"
    assert not site.roster.online("db1")


async def test_many_assignments_share_messages_and_keep_their_order(site: Site) -> None:
    async with site.agent(await site.host()) as agent:
        await agent.send(hello(slots=500), journal())
        await site.listener.until("ready")
        before = agent.messages
        for number in range(1, 301):
            site.roster.assign(assignment(key(number)))
        sent = await agent.until("assignment", 300)
        assert [each.key.execution for each in sent] == [f"exe_{number}" for number in range(1, 301)]
        assert agent.messages - before < 30
        await agent.send(*(result(key(number)) for number in range(1, 301)))
        acks = await agent.until("result_ack", 300)
        assert {ack.key.execution for ack in acks} == {f"exe_{number}" for number in range(1, 301)}


async def test_an_agent_may_pause_between_hello_and_journal(site: Site) -> None:
    async with site.agent(await site.host()) as agent:
        await agent.send(hello())
        await agent.until("welcome")
        assert not site.roster.online("db1")
        await agent.send(journal(complete=False))
        await agent.send(journal())
        await site.listener.until("ready")


async def test_a_reconnecting_agent_supersedes_its_half_open_session(site: Site) -> None:
    identity = await site.host()
    async with site.agent(identity) as old, site.agent(identity) as new:
        await old.send(hello(counter=1), journal())
        await site.listener.until("ready")
        await new.send(hello(counter=2), journal())
        await site.listener.until("ready", 2)
        (refusal,) = await old.until("refusal")
        assert refusal.reason == pb.REFUSAL_REASON_SUPERSEDED
        assert [call[0] for call in site.listener.calls] == ["opened", "ready", "closed", "opened", "ready"]
        assert site.roster.online("db1")


async def test_goodbye_at_shutdown(site: Site) -> None:
    async with site.agent(await site.host()) as agent:
        await agent.send(hello(), journal())
        await site.listener.until("ready")
        stopping = asyncio.create_task(site.server.stop(reconnect_ms=1_234))
        (goodbye,) = await agent.until("goodbye")
        assert goodbye.reconnect_ms == 1_234
        await agent.until_ended()
        await stopping
    assert len(site.listener.named("closed")) == 1


async def test_a_query_carries_secrets_that_only_this_agent_opens(site: Site) -> None:
    identity = await site.host()
    async with site.agent(identity) as agent:
        await agent.send(hello(), journal())
        await site.listener.until("ready")
        asking = asyncio.create_task(
            site.roster.query(
                "db1", Query(QueryPurpose.PREVIEW, "file.write", {"path": "/x"}, 5_000_000, {"pw": b"hush"})
            )
        )
        (query,) = await agent.until("query")
        assert b"hush" not in query.SerializeToString()
        assert _unseal(identity.sealing, query.secrets["pw"], f"{query.query_id}\npw") == b"hush"
        answer = pb.QueryAnswer(query_id=query.query_id, ok=True, answer=b'{"change":"create"}')
        await agent.send(pb.AgentItem(query_answer=answer))
        assert (await asking).answer == {"change": "create"}
        lost = asyncio.create_task(site.roster.query("db1", Query(QueryPurpose.READ, "x.y", {}, 5_000_000)))
        await agent.until("query", 2)
    with pytest.raises(HostUnreachable, match="lost its session"):
        await lost
    with pytest.raises(HostUnreachable, match="no session"):
        await site.roster.query("db1", Query(QueryPurpose.READ, "x.y", {}, 5_000_000))


async def test_health_is_told_without_a_certificate(site: Site) -> None:
    async with site.door() as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        answer = await stub.Check(health_pb2.HealthCheckRequest(service="pilotage_proto.v1.FleetService"))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        site.able = False
        answer = await stub.Check(health_pb2.HealthCheckRequest())
        assert answer.status == health_pb2.HealthCheckResponse.NOT_SERVING
        with pytest.raises(grpc.aio.AioRpcError, match="unknown service"):
            await stub.Check(health_pb2.HealthCheckRequest(service="etc"))


def _unseal(recipient: X25519PrivateKey, sealed: bytes, context: str) -> bytes:
    """Open a sealed secret, written from the description of the format alone."""
    ephemeral, nonce, body = sealed[:32], sealed[32:44], sealed[44:]
    shared = recipient.exchange(X25519PublicKey.from_public_bytes(ephemeral))
    public = recipient.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    derived = HKDF(hashes.SHA256(), 32, salt=ephemeral + public, info=b"pilotage sealed secret v1").derive(shared)
    return AESGCM(derived).decrypt(nonce, body, context.encode())
