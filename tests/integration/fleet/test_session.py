"""A session over real gRPC and mutual TLS."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.fleet.fleet_site import EPOCH, Site
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
        site.roster.assign(assignment(key()))
        (sent,) = await agent.until("assignment")
        assert sent.parameters == b'{"argv":["true"]}'
        assert sent.timeout_ms == 1_500
        await agent.send(accepted(key()), started(key()), log(key(), b'{"m":1}\n'), result(key()))
        await agent.until("result_ack")
        (ack,) = await agent.until("log_ack")
        assert ack.offset == 8
    await site.listener.until("closed")
    assert [call[0] for call in site.listener.calls] == [
        "opened",
        "ready",
        "accepted",
        "started",
        "log",
        "result",
        "closed",
    ]
    assert site.listener.named("result")[0][1] == "db1"
    assert not site.roster.online("db1")
