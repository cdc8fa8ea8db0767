"""The two ports themselves."""

import asyncio
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography import x509
from pilotage_coordinator import fleet
from pilotage_coordinator.fleet.errors import ServerError
from pilotage_coordinator.fleet.server import FleetServer, Listening
from pilotage_coordinator.security.authority import SERVER_LIFE

from tests.integration.fleet.fleet_site import Site, fleet_stub


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with Site(tmp_path) as site:
        yield site


def shown_serial(port: int) -> int:
    """Return the serial of the certificate that a port shows, unverified."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    with socket.create_connection(("127.0.0.1", port), timeout=5) as plain, context.wrap_socket(plain) as secure:
        shown = secure.getpeercert(binary_form=True)
    assert shown
    return x509.load_der_x509_certificate(shown).serial_number


async def test_the_servers_certificate_is_renewed_while_it_serves(site: Site) -> None:
    ports = (site.server.fleet_port, site.server.enrolment_port)
    before = [await asyncio.to_thread(shown_serial, port) for port in ports]
    assert [await asyncio.to_thread(shown_serial, port) for port in ports] == before
    site.clock_offset += SERVER_LIFE // 2 + 1_000_000
    after = [await asyncio.to_thread(shown_serial, port) for port in ports]
    assert not set(before) & set(after)
    assert [await asyncio.to_thread(shown_serial, port) for port in ports] == after


async def test_a_second_server_on_the_port_is_refused_by_name(site: Site) -> None:
    taken = f"127.0.0.1:{site.server.fleet_port}"
    second = FleetServer(
        site.roster, site.enrolment, site.authority, Listening(taken, "127.0.0.1:0"), lambda: time.time_ns() // 1_000
    )
    with pytest.raises(ServerError, match=f"{taken} cannot be listened on"):
        await second.start()


@pytest.mark.parametrize(
    ("address", "reason"),
    [("192.0.2.200:0", "[Cc]annot assign"), ("nowhere.invalid:0", "[Nn]ame|resolution"), ("", "another coordinator")],
)
async def test_why_an_address_cannot_be_listened_on_is_told(site: Site, address: str, reason: str) -> None:
    address = address or f"127.0.0.1:{site.server.fleet_port}"
    with pytest.raises(ServerError, match=f"{address} cannot be listened on: .*({reason})"):
        await FleetServer(
            site.roster, site.enrolment, site.authority, Listening(address, "127.0.0.1:0"), site.now
        ).start()


async def test_it_stops_though_an_agent_never_greets(site: Site) -> None:
    identity = await site.host()
    async with site.fleet(identity) as channel:
        call = fleet_stub(channel).Session()
        await asyncio.wait_for(channel.channel_ready(), 5)
        async with asyncio.timeout(5):
            await site.server.stop()
        call.cancel()


async def test_it_does_not_start_when_grpc_came_first(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "GRPC_CAME_FIRST", True)
    other = FleetServer(site.roster, site.enrolment, site.authority, Listening("127.0.0.1:0", "127.0.0.1:0"), site.now)
    with pytest.raises(ServerError, match=r"TLS 1\.2 may be open"):
        await other.start()


@pytest.mark.parametrize(("first", "came_first"), [("", False), ("import grpc; ", True)])
def test_who_came_first_is_noticed(first: str, came_first: bool) -> None:
    program = f"{first}from pilotage_coordinator import fleet; print(fleet.GRPC_CAME_FIRST)"
    done = subprocess.run([sys.executable, "-c", program], env={}, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(came_first)
