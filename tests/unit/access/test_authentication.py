"""Tokens as attackers try them: foreign, cut off, changed, expired, revoked; and what is written of all that."""

import asyncio
import hmac
import os
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from pilotage_coordinator.api import connection
from pilotage_coordinator.api.access_log import AccessLog
from pilotage_coordinator.api.application import application
from pilotage_coordinator.api.identity import Identity
from pilotage_coordinator.security.api_tokens import check_form, new_api_token
from pilotage_coordinator.security.brake import MOST_PER_SOURCE, WINDOW
from pilotage_coordinator.security.errors import TokenRefused
from pilotage_coordinator.security.tokens import same_digest
from pilotage_coordinator.service.authentication import Authentication
from pilotage_coordinator.service.caller import Face
from pilotage_coordinator.service.errors import Unauthenticated
from pilotage_coordinator.store.errors import StoreUnavailable
from structlog.testing import capture_logs

from tests.unit.service.desk import DAY, NOW, TOKEN, Desk


class Clock:
    """Says what it is told to."""

    def __init__(self, now: int) -> None:
        self.time = now
        self.seconds = 0.0

    def now(self) -> int:
        return self.time

    def monotonic(self) -> float:
        return self.seconds


def test_a_token_has_the_form_that_scanners_know() -> None:
    text = new_api_token(bytes(range(32)))
    assert re.fullmatch(r"plt_[0-9A-Za-z]{49}", text)
    check_form(text)
    assert len({new_api_token(number.to_bytes(32)) for number in range(1000)}) == 1000
    assert new_api_token(b"\xff" * 32).removeprefix("plt_").isalnum()
    with pytest.raises(ValueError, match="32 random bytes"):
        new_api_token(b"short")


def test_every_way_to_cut_or_change_a_token_is_told_without_the_store() -> None:
    text = new_api_token(b"t" * 32)
    damaged = [text[:length] for length in range(len(text))] + [text + "0", text.upper(), " " + text, text + "\n"]
    damaged += [
        text[:place] + ("1" if text[place] == "0" else "0") + text[place + 1 :] for place in range(4, len(text))
    ]
    damaged += ["plg1.abc", "plt_" + "é" * 49, "plt_" + "0" * 49]
    for each in damaged:
        with pytest.raises(TokenRefused) as refusal:
            check_form(each)
        assert len(each) < 8 or each not in str(refusal.value)


def test_digests_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return one == other

    monkeypatch.setattr(hmac, "compare_digest", compare)
    assert same_digest("sha256:a", "sha256:a")
    assert compared == [(b"sha256:a", b"sha256:a")]


async def test_a_token_proves_whose_it_is_and_what_they_hold_now(desk: Desk) -> None:
    text = await desk.add_principals()
    caller = await desk.authentication.bearer(text, Face.HTTPS)
    assert (caller.principal, caller.kind, caller.roles, caller.face, caller.token, caller.sponsor) == (
        "bot", "assistant", ("assistant",), "https", TOKEN, "bob",
    )  # fmt: skip
    assert (await desk.store.access.token(TOKEN)).last_used_at is None
    await desk.authentication.flush()
    assert (await desk.store.access.token(TOKEN)).last_used_at == NOW


async def test_when_a_token_was_used_is_not_lost_to_a_full_disk(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    text = await desk.add_principals()
    await desk.authentication.bearer(text, Face.HTTPS)

    async def full(moments: Any) -> None:
        raise StoreUnavailable("the disk is full")

    with monkeypatch.context() as patch, capture_logs() as logged:
        patch.setattr(desk.store.access, "used", full)
        await desk.authentication.flush()
    assert [each["event"] for each in logged] == ["token.use_not_stored"]


async def useless(desk: Desk, how: str, clock: Clock) -> str:
    """Return a token that proves nothing, in one of the ways in which one can."""
    text = await desk.add_principals()
    if how == "foreign":
        return new_api_token(b"f" * 32)
    if how == "truncated":
        return text[:-1]
    if how == "expired":
        clock.time = NOW + DAY
    elif how == "revoked":
        await desk.store.access.revoke_token(TOKEN, NOW, "ann")
    elif how == "disabled":
        await desk.store.access.disable("bot", NOW)
    return text


@pytest.mark.parametrize(
    ("how", "words", "audited"),
    [
        ("foreign", "not known", False),
        ("truncated", "damaged or cut off", False),
        ("expired", "has expired", True),
        ("revoked", "was revoked", True),
        ("disabled", "is disabled", True),
    ],
)
async def test_a_useless_token_is_refused_and_appears_nowhere(desk: Desk, how: str, words: str, audited: bool) -> None:
    clock = Clock(NOW)
    authentication = Authentication(desk.store, clock, "ann")
    text = await useless(desk, how, clock)
    with capture_logs() as logged:
        for _ in range(3):
            with pytest.raises(Unauthenticated, match=words) as refusal:
                await authentication.bearer(text, Face.HTTPS)
    assert text not in refusal.value.detail + refusal.value.fix + repr(logged)
    entries = [each for each in await desk.audit() if each[0] == "authenticate"]
    # One a minute at most: whoever holds an old token must not be able to fill the audit log with it.
    assert entries == ([("authenticate", "denied", TOKEN)] if audited else [])
    assert text not in repr(await desk.store.audit.read())
    clock.time += 61_000_000
    with pytest.raises(Unauthenticated):
        await authentication.bearer(text, Face.HTTPS)
    assert len([each for each in await desk.audit() if each[0] == "authenticate"]) == (2 if audited else 0)


async def test_a_grant_whose_limits_cannot_be_read_gives_nothing(desk: Desk) -> None:
    text = await desk.add_principals()
    desk.disk.connection.execute('UPDATE grants SET scope = \'{"users": ["x"]}\'')
    with capture_logs() as logged:
        caller = await desk.authentication.bearer(text, Face.HTTPS)
    assert caller.grants == ()
    assert [each["event"] for each in logged] == ["grant.unreadable"]


class Door:
    """The API in process, through one face, with peers of one's choice."""

    def __init__(self, desk: Desk, face: Face, peer_user: int | None = None) -> None:
        self.clock = Clock(NOW)
        self.identity = Identity(Authentication(desk.store, self.clock, "ann"), face, self.clock.monotonic)
        self._app = AccessLog(application(desk.services, self.identity, asyncio.Event()), face)
        self._peer_user = peer_user
        self.source = "192.0.2.1"

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        scope["state"] = {connection.PEER_USER: self._peer_user}
        scope["client"] = (self.source, 1)
        await self._app(scope, receive, send)

    async def get(self, path: str, token: str = "", **headers: str) -> httpx.Response:
        """Ask, with a token if one is given."""
        async with httpx.AsyncClient(transport=httpx.ASGITransport(self), base_url="https://control:7445") as http:
            shown = {"authorization": f"Bearer {token}"} if token else {}
            return await http.get(path, headers={**shown, **headers})


@pytest.fixture
async def token(desk: Desk) -> str:
    return await desk.add_principals()


async def test_the_owner_at_the_own_socket_needs_no_token(desk: Desk, token: str) -> None:
    assert (await Door(desk, Face.SOCKET, os.geteuid()).get("/v1/whoami")).json()["principal"] == "ann"


@pytest.mark.parametrize("peer", [None, 4711])
async def test_another_user_at_the_socket_is_nobody_without_a_token(desk: Desk, token: str, peer: int | None) -> None:
    door = Door(desk, Face.SOCKET, peer)
    answer = await door.get("/v1/whoami")
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Bearer realm="pilotage"')
    assert "PILOTAGE_TOKEN" in answer.json()["fix"]
    assert (await door.get("/v1/whoami", token)).json()["principal"] == "bot"


async def test_a_token_at_the_owners_socket_counts_and_never_falls_back(desk: Desk, token: str) -> None:
    door = Door(desk, Face.SOCKET, os.geteuid())
    assert (await door.get("/v1/whoami", token)).json()["principal"] == "bot"
    assert (await door.get("/v1/secrets", token)).status_code == 403
    for given in (token[:-1], new_api_token(b"f" * 32), "x"):
        assert (await door.get("/v1/whoami", given)).status_code == 401
    for header in ("", "Basic YW5uOg==", "Bearer", "bearer  ", f"Token {token}"):
        assert (await door.get("/v1/whoami", authorization=header)).status_code == 401, header


async def test_over_the_network_nobody_is_the_owner(desk: Desk, token: str) -> None:
    door = Door(desk, Face.HTTPS, os.geteuid())
    assert (await door.get("/v1/whoami")).status_code == 401
    assert (await door.get("/v1/whoami", token)).json()["through"] == "https"
    assert (await door.get("/v1/health")).status_code == 200


async def test_who_fails_too_often_is_not_even_looked_at_for_a_while(desk: Desk, token: str) -> None:
    door = Door(desk, Face.HTTPS)
    for _ in range(MOST_PER_SOURCE):
        assert (await door.get("/v1/whoami", new_api_token(b"f" * 32))).status_code == 401
    answer = await door.get("/v1/whoami", token)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "60")
    door.source = "192.0.2.2"
    assert (await door.get("/v1/whoami", token)).status_code == 200
    door.source, door.clock.seconds = "192.0.2.1", WINDOW
    assert (await door.get("/v1/whoami", token)).status_code == 200


async def test_a_page_of_another_site_is_refused(desk: Desk, token: str) -> None:
    door = Door(desk, Face.SOCKET, os.geteuid())
    for origin in ("https://evil.example", "null", "https://control:7446"):
        assert (await door.get("/v1/whoami", origin=origin)).status_code == 403, origin
    assert (await door.get("/v1/whoami", origin="https://control:7445")).status_code == 200


async def test_the_access_log_says_who_through_what_what_and_how_it_ended(desk: Desk, token: str) -> None:
    door = Door(desk, Face.HTTPS)
    with capture_logs() as logged:
        await door.get("/v1/principals/bot?x=plt_secret", token)
        await door.get("/v1/whoami", token[:-1])
        await door.get("/v1/nowhere/plt_secret")
        await door.get("/v1/health")
    lines = [{key: value for key, value in each.items() if key not in ("ms", "log_level")} for each in logged]
    common = {"event": "request", "face": "https", "peer": "192.0.2.1"}
    assert lines == [
        {**common, "principal": "bot", "token": TOKEN, "operation": "principal.show", "subject": "", "status": 422},
        {**common, "principal": "", "token": "", "operation": "whoami", "subject": "", "status": 401},
        {**common, "principal": "", "token": "", "operation": "", "subject": "", "status": 404},
    ]
    assert token[4:40] not in repr(logged)
    assert "plt_secret" not in repr(logged)


async def test_a_denied_write_is_audited_with_the_token_that_was_used(desk: Desk, token: str) -> None:
    door = Door(desk, Face.HTTPS)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(door), base_url="https://control:7445") as http:
        answer = await http.post("/v1/coordinator/stop", headers={"authorization": f"Bearer {token}"})
    assert answer.status_code == 403
    entry = (await desk.store.audit.newest(limit=1))[0].entry
    assert (entry.principal, entry.operation, entry.outcome) == ("bot", "coordinator.stop", "denied")
    assert entry.detail["through"] == "https"
    assert entry.detail["token"] == TOKEN
    assert entry.detail["principal_kind"] == "assistant"


async def test_nothing_of_a_request_is_read_before_it_is_known_whose_it_is(desk: Desk) -> None:
    read = False

    async def body() -> AsyncIterator[bytes]:
        nonlocal read
        read = True
        yield b"{}"

    door = Door(desk, Face.HTTPS)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(door), base_url="https://control:7445") as http:
        answer = await http.post("/v1/blueprints", content=body())
    assert (answer.status_code, read) == (401, False)
