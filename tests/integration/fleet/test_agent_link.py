"""The real agent's enrolment and renewal against this side of the protocol."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from pilotage_agent.errors import EnrolmentFailed
from pilotage_agent.identity import Identity as AgentIdentity
from pilotage_agent.link.channel import fleet_channel
from pilotage_agent.link.enrol import JoinToken, join
from pilotage_agent.link.renewal import renew_expired, renew_valid
from pilotage_coordinator.fleet.enrolment import receipt_message
from pilotage_coordinator.security.sealing import attempt_context, seal

from tests.integration.fleet.fleet_site import Agent, Site
from tests.unit.fleet.agent_items import hello, journal, key


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with Site(tmp_path / "coordinator") as site:
        yield site


async def enrol(site: Site, folder: Path) -> AgentIdentity:
    return await join(JoinToken.parse(site.token()), "db1", folder / "joining", "0.1.0")


async def test_the_agent_joins_opens_sealed_secrets_and_holds_a_session(site: Site, tmp_path: Path) -> None:
    identity = await enrol(site, tmp_path)
    assert identity.enrolment.fleet_address == f"127.0.0.1:{site.server.fleet_port}"
    receipt = bytes.fromhex(identity.enrolment.sealing_key_receipt)
    bound = receipt_message(identity.enrolment.host_id, identity.sealing_key.public)
    site.authority.key.public_key().verify(receipt, bound, ec.ECDSA(hashes.SHA256()))
    async with Agent(fleet_channel(identity.enrolment.fleet_address, identity)) as agent:
        await agent.send(hello(), journal())
        await site.listener.until("ready")
        sealed = seal(site.roster.sealing_key("db1"), b"hush", attempt_context(key(), "restic"))
        assert identity.sealing_key.unseal(str(key()), "restic", sealed) == b"hush"


async def test_the_agent_repeats_a_join_whose_answer_was_lost(site: Site, tmp_path: Path) -> None:
    token = JoinToken.parse(site.token())
    first = await join(token, "db1", tmp_path / "joining", "0.1.0")
    second = await join(token, "db1", tmp_path / "joining", "0.1.0")
    assert first.enrolment == replace(second.enrolment, sealing_key_receipt=first.enrolment.sealing_key_receipt)
    with pytest.raises(EnrolmentFailed, match="used already"):
        await join(token, "db1", tmp_path / "elsewhere", "0.1.0")


async def test_a_wrong_pin_keeps_the_token_at_home(site: Site, tmp_path: Path) -> None:
    token = replace(JoinToken.parse(site.token()), ca_pin="0" * 64)
    with pytest.raises(EnrolmentFailed):
        await join(token, "db1", tmp_path / "joining", "0.1.0")
    assert not site.registry.hosts
    assert not any(known.used_by for known in site.registry.tokens.values())


async def test_the_agent_renews_before_and_after_the_end(site: Site, tmp_path: Path) -> None:
    identity = await enrol(site, tmp_path)
    renewed = replace(identity, certificates=await renew_valid(identity))
    assert own(renewed).serial_number != own(identity).serial_number
    again = replace(identity, certificates=await renew_expired(renewed, datetime.now(UTC)))
    assert own(again).subject == own(identity).subject
    assert site.enrolment.renewed_after_expiry == 1
    async with Agent(fleet_channel(again.enrolment.fleet_address, again)) as agent:
        await agent.send(hello(), journal())
        await site.listener.until("ready")


def own(identity: AgentIdentity) -> x509.Certificate:
    return x509.load_der_x509_certificate(identity.certificates[0])
