"""Joining and renewing against a real TLS server: the pin is checked before the token leaves, answers may get lost."""

import asyncio
import base64
import datetime
import json
import os
import ssl
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from pilotage_agent.errors import EnrolmentFailed, LinkLost, NotEnrolled
from pilotage_agent.identity import Identity, load_identity, save_identity, utc_now
from pilotage_agent.link.channel import fleet_channel
from pilotage_agent.link.enrol import JoinToken, fetch_authority, finish_joining, join
from pilotage_agent.link.grpc_transport import GrpcTransport
from pilotage_agent.link.renewal import Renewal
from pilotage_agent.link.signer import check_chain
from pilotage_agent.link.signing import new_key
from pilotage_agent.state_dir import StateDir
from pilotage_proto.v1 import fleet_pb2 as pb

from tests.integration.agent.agent_process import running_agent
from tests.integration.agent.coordinator import SmallAuthority, SmallCoordinator


async def test_an_identity_is_saved_for_its_owner_only(coordinator: SmallCoordinator, state: StateDir) -> None:
    identity = load_identity(state.identity)
    assert identity.enrolment.host_name == "h1"
    assert identity.enrolment.fleet_address == f"127.0.0.1:{coordinator.fleet_port}"
    assert coordinator.joins[0].sealing_key == identity.sealing_key.public
    for path in state.identity.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert not state.joining.exists()


async def test_a_coordinator_is_reached_under_the_name_that_this_machine_knows(
    coordinator: SmallCoordinator, tmp_path: Path
) -> None:
    elsewhere = replace(JoinToken.parse(coordinator.join_token()), address=f"nowhere.invalid:{coordinator.enrol_port}")
    with pytest.raises(EnrolmentFailed, match=r"nowhere\.invalid"):
        await join(elsewhere, "h1", tmp_path / "joining", "test")
    joined = (await join(elsewhere, "h1", tmp_path / "joining", "test", reach="127.0.0.1")).enrolment
    assert joined.fleet_address == f"127.0.0.1:{coordinator.fleet_port}"
    assert joined.enrol_address == f"127.0.0.1:{coordinator.enrol_port}"


async def test_a_wrong_pin_keeps_the_token_here(coordinator: SmallCoordinator, tmp_path: Path) -> None:
    token = JoinToken.parse(coordinator.join_token(pin=SmallAuthority().pin))
    with pytest.raises(EnrolmentFailed, match="The token was not sent"):
        await join(token, "h1", tmp_path / "joining", "test")
    assert coordinator.joins == []


async def test_a_lost_answer_is_asked_for_again_with_the_same_key(
    coordinator: SmallCoordinator, tmp_path: Path
) -> None:
    coordinator.fail_joins = 1
    token = JoinToken.parse(coordinator.join_token())
    identity = await join(token, "h1", tmp_path / "joining", "test")
    again = await join(token, "h1", tmp_path / "joining", "test")
    assert len({bytes(one.sealing_key) for one in coordinator.joins}) == 1
    assert identity.key_pem == again.key_pem
    finish_joining(again, tmp_path / "identity", tmp_path / "joining")
    assert load_identity(tmp_path / "identity").certificates == again.certificates


async def test_a_refused_token_is_named_as_such(coordinator: SmallCoordinator, tmp_path: Path) -> None:
    coordinator.token = "another"
    text = coordinator.join_token()
    coordinator.token = "secret-of-a-token"
    with pytest.raises(EnrolmentFailed, match="no such token"):
        await join(JoinToken.parse(text), "h1", tmp_path / "joining", "test")


async def test_nobody_there_says_where_it_looked(tmp_path: Path) -> None:
    body = base64.urlsafe_b64encode(json.dumps({"a": "127.0.0.1:1", "p": "00" * 32, "t": "x"}).encode()).decode()
    with pytest.raises(EnrolmentFailed, match=r"127\.0\.0\.1:1"):
        await join(JoinToken.parse("plg1." + body), "h1", tmp_path / "joining", "test")


@pytest.mark.parametrize("text", ["", "hello", "plg1.", "plg1.e30", "plg1.!!!", "plg1." + "A" * 40])
def test_damaged_tokens_are_refused(text: str) -> None:
    with pytest.raises(EnrolmentFailed):
        JoinToken.parse(text)


async def test_the_server_offers_tls_1_3_only_to_the_agent(coordinator: SmallCoordinator) -> None:
    authority = await asyncio.to_thread(
        fetch_authority, f"127.0.0.1:{coordinator.enrol_port}", coordinator.authority.pin
    )
    assert ssl.DER_cert_to_PEM_cert(authority)
    assert os.environ["GRPC_ENABLE_FORK_SUPPORT"] == "0"


async def test_a_valid_certificate_is_renewed_with_its_key(coordinator: SmallCoordinator, state: StateDir) -> None:
    before = load_identity(state.identity)
    held = [before]
    redials: list[int] = []
    renewal = Renewal(lambda: held[-1], held.append, lambda: redials.append(1), state.identity)
    await renewal.renew_once()
    assert held[-1].certificates != before.certificates
    assert load_identity(state.identity).certificates == held[-1].certificates
    assert redials == [1]
    assert isinstance(coordinator.renewals[0], pb.RenewRequest)


async def test_an_expired_certificate_is_renewed_by_proof_of_its_key(
    coordinator: SmallCoordinator, state: StateDir
) -> None:
    expired = _expire(coordinator, load_identity(state.identity))
    save_identity(state.identity, expired)
    async with running_agent(state):
        session = await coordinator.next_session(40)
        await session.wait_for("hello")
    assert isinstance(coordinator.renewals[0], pb.RenewExpiredRequest)
    assert not load_identity(state.identity).is_expired(utc_now())


async def test_a_certificate_of_another_authority_does_not_connect(
    coordinator: SmallCoordinator, state: StateDir
) -> None:
    identity = load_identity(state.identity)
    stranger = SmallAuthority()
    der = stranger.issue(public_key(identity), "hst_1").public_bytes(Encoding.DER)
    forged = Identity(identity.key_pem, identity.sealing_key, (der, identity.certificates[-1]), identity.enrolment)
    address = identity.enrolment.fleet_address
    with pytest.raises(LinkLost):
        await _dial(address, forged)


async def _dial(address: str, identity: Identity) -> None:
    transport = await GrpcTransport.open(fleet_channel(address, identity), address)
    try:
        await transport.receive()
    finally:
        await transport.close()


def test_no_identity_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(NotEnrolled, match="pilotage-agent join"):
        load_identity(tmp_path)


def test_a_damaged_identity_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "agent.json").write_text("{}")
    with pytest.raises(EnrolmentFailed, match="damaged"):
        load_identity(tmp_path)


def test_a_key_that_is_not_the_certificates_is_damage(state: StateDir) -> None:
    (state.identity / "key.pem").write_bytes(new_key())
    with pytest.raises(EnrolmentFailed, match=r"damaged.*(?i:mismatch)"):
        load_identity(state.identity)


async def test_what_is_renewed_must_be_for_our_key_and_by_the_pinned_authority(
    coordinator: SmallCoordinator, state: StateDir
) -> None:
    identity = load_identity(state.identity)
    own, authority, pin = identity.certificates[0], identity.certificates[-1], identity.enrolment.ca_pin
    assert await check_chain((own, authority), identity.key_pem, pin) == (own, authority)
    for chain, key, said in (
        ((own, authority), new_key(), "another key"),
        ((own, SmallAuthority().certificate.public_bytes(Encoding.DER)), identity.key_pem, "not from the authority"),
        ((own,), identity.key_pem, "not from the authority"),
        ((b"nonsense", authority), identity.key_pem, "no certificate that can be read"),
        ((), identity.key_pem, "no certificate that can be read"),
    ):
        with pytest.raises(EnrolmentFailed, match=said):
            await check_chain(chain, key, pin)


def public_key(identity: Identity) -> ec.EllipticCurvePublicKey:
    key = load_pem_private_key(identity.key_pem, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key.public_key()


def _expire(coordinator: SmallCoordinator, identity: Identity) -> Identity:
    own = coordinator.authority.issue(public_key(identity), "hst_1", life=datetime.timedelta(seconds=-1)).public_bytes(
        Encoding.DER
    )
    return Identity(identity.key_pem, identity.sealing_key, (own, identity.certificates[-1]), identity.enrolment)
