"""The API over real TLS on the loopback address: whom it lets in, whom it cuts off, and which certificate it shows."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from pathlib import Path

import pytest
from pilotage_client import ClientError, CoordinatorUnreachable, Denied, PilotageClient
from pilotage_client.transport import Transport
from pilotage_coordinator.api import connection, sse
from pilotage_coordinator.api.certificate import CertificateFiles, ShownCertificate
from pilotage_coordinator.api.errors import CertificateRefused, SocketRefused
from pilotage_coordinator.api.server import ApiServer, Https
from pilotage_coordinator.security.authority import Authority, ServerIdentity, open_authority
from pilotage_coordinator.store.records import EventRecord

from tests.unit.service.desk import EXECUTION, NOW, TOKEN, Desk

BOUND = 20.0
"""Seconds after which a test that waits for something has failed."""
DAY = 24 * 3600 * 1_000_000


class Site:
    """A server and how it is reached."""

    def __init__(self, desk: Desk, folder: Path, authority: Authority, token: str) -> None:
        self.authority_file = folder / "ca.pem"
        self.authority_file.write_bytes(authority.certificate_pem)
        certificate = ShownCertificate(authority, ("127.0.0.1",), wall)
        self.server = ApiServer(
            desk.services, desk.authentication, folder / "run" / "s", Https("127.0.0.1:0", certificate)
        )
        self.token = token

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.server.https_port}"

    def client(self, token: str = "", ca: Path | None = None) -> PilotageClient:
        """Return a client with a token (by default the good one)."""
        return PilotageClient(Transport.over_https(self.url, token or self.token, ca or self.authority_file))


def wall() -> int:
    """Return the time of certificates: the machine's, as TLS libraries take no other."""
    return time.time_ns() // 1000


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return open_authority(tmp_path / "authority.pem", wall())


@pytest.fixture
async def site(desk: Desk, tmp_path: Path, authority: Authority) -> AsyncIterator[Site]:
    made = Site(desk, tmp_path, authority, await desk.add_principals())
    await made.server.start()
    yield made
    await made.server.stop()


async def test_a_token_is_taken_over_tls_and_nothing_else_is(site: Site) -> None:
    async with site.client() as client:
        who = await client.whoami()
        assert (who["principal"], who["through"], who["token"]) == ("bot", "https", TOKEN)
        with pytest.raises(Denied, match=r"secret\.list"):
            await client.list_secrets()
    async with site.client(site.token[:-1]) as client:
        with pytest.raises(Denied, match="damaged") as refusal:
            await client.whoami()
        assert refusal.value.status == 401
    with pytest.raises(ClientError, match="characters that none has"):
        site.client("plt_\r\nx")


async def test_who_shows_no_certificate_that_is_trusted_gets_no_token(site: Site, tmp_path: Path) -> None:
    stranger = tmp_path / "stranger.pem"
    stranger.write_bytes(open_authority(tmp_path / "other.pem", wall()).certificate_pem)
    async with site.client(ca=stranger) as client:
        with pytest.raises(CoordinatorUnreachable, match="nothing was sent") as refusal:
            await client.whoami()
    assert "coordinator authority" in refusal.value.fix
    with pytest.raises(ClientError, match="is no https"):
        Transport.over_https("http://127.0.0.1:1", site.token)


async def test_older_tls_is_refused(site: Site) -> None:
    context = ssl.create_default_context(cafile=str(site.authority_file))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        await asyncio.open_connection("127.0.0.1", site.server.https_port, ssl=context)


async def test_a_revoked_token_is_cut_out_of_its_streams(
    site: Site, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse, "RECHECK", 0.05)
    await desk.add_execution()
    desk.runs.events, desk.runs.forever = [EventRecord(1, NOW, "step_opened", {})], True
    async with site.client() as client, aclosing(client.watch_run(EXECUTION)) as stream:
        assert (await anext(stream))["event"] is not None
        await desk.store.access.revoke_token(TOKEN, NOW, "ann")
        async with asyncio.timeout(BOUND):
            with pytest.raises(ClientError, match="was revoked"):
                async for _ in stream:
                    pass
            await desk.runs.left.wait()


async def test_who_says_nothing_is_cut_off(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.05)
    context = ssl.create_default_context(cafile=str(site.authority_file))
    reader, writer = await asyncio.open_connection("127.0.0.1", site.server.https_port, ssl=context)
    writer.write(b"GET /v1/whoami HTTP/1.1\r\nhost: x\r\nx-slow: ")
    async with asyncio.timeout(BOUND):
        assert await reader.read() == b""
    writer.close()
    async with site.client() as client:
        assert (await client.whoami())["principal"] == "bot"


async def test_an_address_that_cannot_be_had_is_named_and_nothing_is_left(
    site: Site, desk: Desk, tmp_path: Path, authority: Authority
) -> None:
    taken = Https(f"127.0.0.1:{site.server.https_port}", ShownCertificate(authority, ("127.0.0.1",), wall))
    second = ApiServer(desk.services, desk.authentication, tmp_path / "second" / "s", taken)
    with pytest.raises(SocketRefused, match="cannot be listened on for HTTPS"):
        await second.start()
    assert not (tmp_path / "second" / "s").exists()


async def test_a_certificate_is_made_anew_at_half_its_life(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = wall()
    made: list[int] = []
    issue = Authority.issue_server

    def counted(self: Authority, names: Sequence[str], at: int) -> ServerIdentity:
        made.append(at)
        return issue(self, names, at)

    monkeypatch.setattr(Authority, "issue_server", counted)
    shown = ShownCertificate(authority, ("127.0.0.1",), lambda: now)
    first = now
    for _ in range(4):
        now += 10 * DAY
        shown.renew()
    # It lives 30 days.
    assert made == [first, first + 20 * DAY, first + 40 * DAY]


async def test_a_certificate_from_files_is_read_again_and_a_bad_one_changes_nothing(
    desk: Desk, tmp_path: Path, authority: Authority
) -> None:
    files = CertificateFiles(tmp_path / "chain.pem", tmp_path / "key.pem")
    with pytest.raises(CertificateRefused, match=r"chain\.pem"):
        ShownCertificate(authority, (), wall, files)
    write(files, authority)
    token = await desk.add_principals()
    shown = ShownCertificate(authority, (), wall, files)
    server = ApiServer(desk.services, desk.authentication, tmp_path / "run" / "s", Https("127.0.0.1:0", shown))
    await server.start()
    try:
        ca = tmp_path / "ca.pem"
        ca.write_bytes(authority.certificate_pem)
        url = f"https://127.0.0.1:{server.https_port}"
        async with PilotageClient(Transport.over_https(url, token, ca)) as client:
            assert (await client.whoami())["principal"] == "bot"
        files.chain.write_text("no certificate")
        with pytest.raises(CertificateRefused, match="are no certificate chain and its key"):
            shown.renew()
        async with PilotageClient(Transport.over_https(url, token, ca)) as client:
            assert (await client.whoami())["principal"] == "bot"
        other = open_authority(tmp_path / "other.pem", wall())
        write(files, other)
        shown.renew()
        async with PilotageClient(Transport.over_https(url, token, ca)) as client:
            with pytest.raises(CoordinatorUnreachable):
                await client.whoami()
        files.key.chmod(0o644)
        files.chain.write_bytes(files.chain.read_bytes() + b"\n")
        with pytest.raises(CertificateRefused, match="chmod go="):
            shown.renew()
    finally:
        await server.stop()


def write(files: CertificateFiles, authority: Authority) -> None:
    """Write a certificate for the loopback address, and its key for nobody else."""
    made = authority.issue_server(("127.0.0.1",), wall())
    files.chain.write_bytes(made.chain)
    files.key.touch(mode=0o600)
    files.key.write_bytes(made.key)
