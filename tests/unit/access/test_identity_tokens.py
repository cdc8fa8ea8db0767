"""Identity tokens of a real issuer on the loopback address: whom they let in, and every way in which they must not."""

import base64
import hmac
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from pilotage_coordinator.config import SettingsRefused, load_config
from pilotage_coordinator.domain.access.issuer import Issuer
from pilotage_coordinator.domain.access.permission import DECIDE
from pilotage_coordinator.domain.access.principal import PrincipalKind
from pilotage_coordinator.domain.access.scope import WHOLE
from pilotage_coordinator.runtime import issuer_keys
from pilotage_coordinator.runtime.issuer_keys import IssuerKeys
from pilotage_coordinator.service import api_tokens, whoami
from pilotage_coordinator.service.authentication import Authentication
from pilotage_coordinator.service.caller import Caller, Face
from pilotage_coordinator.service.errors import Denied, Unauthenticated, Unavailable
from pilotage_coordinator.service.issued import IssuedTokens
from pilotage_coordinator.store.records import GrantRecord, PrincipalRecord, RoleRecord
from structlog.testing import capture_logs

from tests.unit.access.issuer import SECOND, LoopbackIssuer, SigningKey
from tests.unit.access.test_authentication import Clock, Door
from tests.unit.service.desk import NOW, Desk

NOW_S = NOW // SECOND


@pytest.fixture
def provider() -> Iterator[LoopbackIssuer]:
    issuer = LoopbackIssuer()
    yield issuer
    issuer.close()


class Site:
    """A coordinator that takes the tokens of one issuer."""

    def __init__(self, desk: Desk, issuer: Issuer) -> None:
        self.clock = Clock(NOW)
        self.keys = IssuerKeys(issuer, self.clock.monotonic)
        issued = IssuedTokens(issuer, self.keys, desk.store, self.clock)
        self.authentication = Authentication(desk.store, self.clock, "ann", issued)

    async def caller(self, token: str) -> Caller:
        return await self.authentication.bearer(token, Face.HTTPS)

    async def refused(self, token: str) -> str:
        with pytest.raises(Unauthenticated) as refusal:
            await self.caller(token)
        assert token not in refusal.value.detail + refusal.value.fix
        return refusal.value.detail


def settings(provider: LoopbackIssuer, **more: Any) -> Issuer:
    return Issuer(provider.url, "pilotage", **more)


@pytest.fixture
async def site(desk: Desk, provider: LoopbackIssuer) -> Site:
    await desk.add_principals()
    await desk.store.access.grant(GrantRecord("bob", "approver", NOW, "ann"))
    return Site(desk, settings(provider))


@pytest.mark.parametrize("algorithm", ["ES256", "RS256", "PS256", "EdDSA"])
async def test_a_token_stands_for_a_principal_that_exists_with_what_it_holds_here(
    site: Site, provider: LoopbackIssuer, algorithm: str
) -> None:
    provider.keys[:] = [SigningKey.new("one", algorithm)]
    caller = await site.caller(provider.token(aud=["other", "pilotage"], roles=["owner"], groups=["owner"]))
    assert (caller.principal, caller.kind, caller.roles) == ("bob", PrincipalKind.PERSON, ("approver",))
    assert (caller.issued, caller.token_expires_at) == (True, (NOW_S + 300) * SECOND)
    assert caller.token.startswith("jwt_")
    assert provider.asked == ["/.well-known/openid-configuration", "/keys"]
    await site.caller(provider.token())
    assert len(provider.asked) == 2


async def test_an_assistant_stays_one_and_nobody_decides_by_an_identity_token(
    site: Site, desk: Desk, provider: LoopbackIssuer
) -> None:
    assistant = await site.caller(provider.token(sub="bot"))
    assert assistant.kind is PrincipalKind.ASSISTANT
    assert not assistant.might("principal.write")
    approver = await site.caller(provider.token())
    assert approver.might("run.release")
    assert not approver.might(DECIDE)
    assert not approver.may(DECIDE, WHOLE)
    assert not approver.may_somewhere(DECIDE, WHOLE)
    assert replace(approver, issued=False).might(DECIDE)
    told = await whoami.whoami(desk.services, approver, whoami.AskWhoami())
    assert "run.release" in told.permissions
    assert DECIDE not in told.permissions


async def test_nobody_is_made_and_no_right_either(site: Site, desk: Desk, provider: LoopbackIssuer) -> None:
    assert "'eve' is no principal here" in await site.refused(provider.token(sub="eve"))
    assert "is an owner" in await site.refused(provider.token(sub="ann"))
    assert "no `sub`" in await site.refused(provider.token(sub=""))
    assert {each.name for each in await desk.store.access.principals()} == {"ann", "bob", "bot"}
    await desk.store.access.disable("bob", NOW)
    assert "bob is disabled" in await site.refused(provider.token())


async def test_the_settings_say_whom_a_claim_means_and_what_a_group_gives(desk: Desk, provider: LoopbackIssuer) -> None:
    await desk.add_principals()
    await desk.store.access.put_role(RoleRecord("night", ("run.start",), "", NOW, "ann"))
    roles = {"ops": "operator", "night-shift": "night", "gone": "no-such-role"}
    issuer = settings(
        provider,
        principal_claim="profile.id",
        principals={"4711": "bob", "1": "ann"},
        groups_claim="https://example.org/groups",
        roles=roles,
    )
    site = Site(desk, issuer)
    groups: dict[str, Any] = {"https://example.org/groups": ["ops", "night-shift", "gone", "other", 7]}
    caller = await site.caller(provider.token(profile={"id": "4711"}, **groups))
    assert (caller.principal, caller.roles) == ("bob", ("night", "operator"))
    assert (await desk.store.access.holder("bob")).grants == ()
    assert (await site.caller(provider.token(profile={"id": "4711"}))).roles == ()
    assert (await site.caller(provider.token(profile={"id": "1"}))).principal == "ann"
    assert "nobody here is named" in await site.refused(provider.token(profile={"id": "bob"}))
    assert "no `profile.id`" in await site.refused(provider.token(profile={"id": 4711}))
    bot = await Site(desk, replace(issuer, principal_claim="sub", principals={})).caller(
        provider.token(sub="bot", **groups)
    )
    assert not bot.might("run.release"), "a group made more of an assistant than one may be"


def forged(provider: LoopbackIssuer, how: str) -> str:
    """Return a token that must not count, made in one of the ways in which attackers make them."""
    key = provider.keys[0]
    good = provider.token()
    head, body, signature = good.split(".")
    match how:
        case "none":
            return _part({"alg": "none", "kid": "one"}) + f".{body}.AA"
        case "empty signature":
            return _part({"alg": "ES256", "kid": "one"}) + f".{body}.AA"
        case "shared secret":
            # What everybody can read, taken for a secret that issuer and coordinator share.
            signed = _part({"alg": "HS256", "kid": "one"}) + f".{body}"
            mac = hmac.digest(json.dumps(key.public).encode(), signed.encode(), "sha256")
            return f"{signed}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"
        case "another's key":
            return provider.token(SigningKey.new("one"))
        case "another's key, in the header":
            thief = SigningKey.new("one")
            return provider.token(thief, {"jwk": thief.public, "jku": "http://127.0.0.1:9/keys"})
        case "another algorithm of the key":
            return provider.token(SigningKey.new("one", "RS256"))
        case "changed body":
            claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
            return f"{head}.{_part({**claims, 'sub': 'bot'})}.{signature}"
        case "critical header":
            return provider.token(headers={"crit": ["exp"], "exp": 1})
        case "key id that is no text":
            return _part({"alg": "ES256", "kid": 7}) + f".{body}.{signature}"
        case "unknown key":
            return provider.token(SigningKey.new("two"))
        case "cut":
            return good[:-3]
        case "too long":
            return provider.token(filler="x" * 20_000)
    return "a.b.c"


def _part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


@pytest.mark.parametrize(
    "how",
    [
        "none", "empty signature", "shared secret", "another's key", "another's key, in the header",
        "another algorithm of the key", "changed body", "critical header", "key id that is no text", "unknown key",
        "cut", "too long", "nonsense",
    ],
)  # fmt: skip
async def test_a_forged_token_is_refused(site: Site, provider: LoopbackIssuer, how: str) -> None:
    await site.caller(provider.token())
    asked = len(provider.asked)
    await site.refused(forged(provider, how))
    assert [each for each in provider.asked[asked:] if each not in ("/keys", "/.well-known/openid-configuration")] == []


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"iss": "https://evil.example.org"}, "is not by"),
        ({"iss": None}, "lacks `iss`"),
        ({"aud": "another"}, "is not for pilotage"),
        ({"aud": None}, "lacks `aud`"),
        ({"exp": None}, "lacks `exp`"),
        ({"iat": None}, "lacks `iat`"),
        ({"exp": NOW_S - 31}, "has expired"),
        ({"nbf": NOW_S + 31}, "does not hold yet"),
        ({"iat": NOW_S + 31}, "does not hold yet"),
        ({"exp": NOW_S + 90_000}, "lives longer than a day"),
        ({"exp": "soon"}, "is no time"),
        ({"exp": True}, "is no time"),
        ({"exp": float("inf")}, "is no time"),
        ({"nbf": float("nan")}, "is no time"),
        ({"iat": -1}, "is no time"),
    ],
)
async def test_a_token_of_another_or_for_another_or_of_another_time_is_refused(
    site: Site, provider: LoopbackIssuer, claims: dict[str, Any], words: str
) -> None:
    assert words in await site.refused(provider.token(**claims))


async def test_clocks_may_differ_by_the_leeway_and_the_coordinators_own_clock_decides(
    site: Site, provider: LoopbackIssuer
) -> None:
    token = provider.token(nbf=NOW_S + 29, iat=NOW_S + 29, exp=NOW_S + 60)
    await site.caller(token)
    site.clock.time = (NOW_S + 89) * SECOND
    await site.caller(token)
    site.clock.time = (NOW_S + 90) * SECOND
    assert "has expired" in await site.refused(token)


async def test_a_new_key_counts_at_once_and_one_that_was_taken_back_soon_no_more(
    site: Site, provider: LoopbackIssuer
) -> None:
    old = provider.keys[0]
    await site.caller(provider.token())
    provider.keys[:] = [SigningKey.new("two")]
    await site.caller(provider.token(old))
    site.clock.seconds += issuer_keys.PAUSE
    await site.caller(provider.token())
    assert "does not have" in await site.refused(provider.token(old))


async def test_whatever_strangers_send_the_issuer_is_asked_once_in_a_while(
    site: Site, provider: LoopbackIssuer
) -> None:
    await site.caller(provider.token())
    site.clock.seconds += issuer_keys.PAUSE
    for number in range(20):
        await site.refused(provider.token(SigningKey.new(f"unknown {number}")))
    assert provider.asked.count("/keys") == 2


async def test_keys_count_for_a_while_without_their_issuer_and_then_no_more(
    site: Site, provider: LoopbackIssuer
) -> None:
    token = provider.token(exp=NOW_S + 80_000)
    await site.caller(token)
    provider.answers["/keys"] = (500, b"")
    site.clock.seconds += issuer_keys.STALE
    with capture_logs() as logged:
        await site.caller(token)
    assert "answered 500" in logged[0]["error"]
    site.clock.seconds += 1
    with pytest.raises(Unavailable, match="cannot be had"):
        await site.caller(token)


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/keys", b"no json"),
        ("/keys", b"[]"),
        ("/keys", b'{"keys": {}}'),
        ("/keys", json.dumps({"keys": [{}] * 101}).encode()),
        ("/keys", b'{"keys": [' + b" " * issuer_keys.LARGEST + b"]}"),
        ("/keys", b"[" * 100_000),
        ("/.well-known/openid-configuration", b"{}"),
        ("/.well-known/openid-configuration", b'{"issuer": "https://another.example.org", "jwks_uri": "x"}'),
        ("/.well-known/openid-configuration", b'{"issuer": "URL", "jwks_uri": "http://192.0.2.1/keys"}'),
        ("/.well-known/openid-configuration", b'{"issuer": "URL", "jwks_uri": "file:///etc/passwd"}'),
        ("/.well-known/openid-configuration", b'{"issuer": "URL"}'),
    ],
)
async def test_an_issuer_that_answers_nonsense_lets_nobody_in(
    site: Site, provider: LoopbackIssuer, path: str, answer: bytes
) -> None:
    provider.answers[path] = (200, answer.replace(b"URL", provider.url.encode()))
    with pytest.raises(Unavailable):
        await site.caller(provider.token())


async def test_no_redirect_is_followed(site: Site, provider: LoopbackIssuer) -> None:
    provider.answers["/elsewhere"] = provider.answer("/keys")
    provider.answers["/keys"] = (302, b"")
    with pytest.raises(Unavailable):
        await site.caller(provider.token())
    assert "/elsewhere" not in provider.asked


async def test_a_key_signs_by_its_own_algorithm_only(site: Site, provider: LoopbackIssuer) -> None:
    key = SigningKey.new("one", "RS256")
    provider.keys[:] = [key]
    await site.caller(provider.token())
    assert "does not have" in await site.refused(provider.token(replace(key, algorithm="PS256")))


async def test_keys_that_are_no_public_ones_or_too_weak_are_not_used(site: Site, provider: LoopbackIssuer) -> None:
    weak = SigningKey.new("weak", "RS256", bits=1024)
    shared = {"kty": "oct", "k": _part("x" * 64), "kid": "shared", "alg": "ES256"}
    sealing = {**provider.keys[0].public, "kid": "sealing", "use": "enc"}
    good = provider.keys[0].public
    keys = [shared, sealing, 7, {"kty": "EC", "kid": 7}, weak.public, good]
    provider.answers["/keys"] = (200, json.dumps({"keys": keys}).encode())
    await site.caller(provider.token())
    assert "fewer than 2048 bits" in await site.refused(provider.token(weak))
    for id_ in ("shared", "sealing"):
        assert "does not have" in await site.refused(provider.token(replace(provider.keys[0], id=id_)))


async def test_over_http_it_is_a_token_like_others_and_api_tokens_go_on(desk: Desk, provider: LoopbackIssuer) -> None:
    api_token = await desk.add_principals()
    await desk.store.access.grant(GrantRecord("bob", "operator", NOW, "ann"))
    door = Door(desk, Face.HTTPS)
    door.identity.authentication = Site(desk, settings(provider)).authentication
    token = provider.token()
    with capture_logs() as logged:
        answer = await door.get("/v1/whoami", token)
        assert (await door.get("/v1/whoami", token[:-5])).status_code == 401
    assert (answer.json()["principal"], answer.json()["token"][:4]) == ("bob", "jwt_")
    assert token not in repr(logged)
    assert (await door.get("/v1/whoami", api_token)).json()["principal"] == "bot"
    plain = Door(desk, Face.HTTPS)
    refused: httpx.Response = await plain.get("/v1/whoami", token)
    assert refused.status_code == 401
    assert "no API token" in refused.json()["detail"]


async def test_an_api_token_made_with_it_lives_no_longer(site: Site, desk: Desk, provider: LoopbackIssuer) -> None:
    await desk.store.access.grant(GrantRecord("bob", "operator", NOW, "ann"))
    caller = await site.caller(provider.token())
    create = api_tokens.create_token
    with pytest.raises(Denied, match="ends no later"):
        await create(desk.services, caller, create.request(principal="bob"))


def config(tmp_path: Path, text: str) -> Issuer | None:
    file = tmp_path / "coordinator.toml"
    file.write_text("[oidc]\n" + text)
    return load_config({}, {}, file).oidc


def test_an_issuer_is_set_in_the_file(tmp_path: Path) -> None:
    read = config(
        tmp_path,
        'issuer = "https://login.example.org/home"\naudience = "pilotage"\nprincipals = {"17" = "bob"}\n'
        'groups_claim = "groups"\nroles = {ops = "operator"}\nalgorithms = ["ES256"]\nleeway = 5\n',
    )
    assert read == Issuer(
        "https://login.example.org/home",
        "pilotage",
        principals={"17": "bob"},
        groups_claim="groups",
        roles={"ops": "operator"},
        algorithms=("ES256",),
        leeway=5 * SECOND,
    )
    assert load_config({}, {}, tmp_path / "none.toml").oidc is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('issuer = "https://x"', "`audience` is needed"),
        ('issuer = "http://login.example.org"\naudience = "p"', "must begin with https"),
        ('issuer = "https://x"\naudience = "p"\nkeys_url = "http://192.0.2.1/"', "`keys_url`"),
        ('issuer = "https://x"\naudience = "p"\nalgorithms = ["none"]', "`algorithms` must be"),
        ('issuer = "https://x"\naudience = "p"\nalgorithms = ["HS256"]', "`algorithms` must be"),
        ('issuer = "https://x"\naudience = "p"\nalgorithms = []', "`algorithms` must be"),
        ('issuer = "https://x"\naudience = "p"\nleeway = 600', "`leeway` must be"),
        ('issuer = "https://x"\naudience = "p"\nroles = {a = "operator"}', "belong together"),
        ('issuer = "https://x"\naudience = "p"\ngroups_claim = "g"\nroles = {a = "owner"}', "makes somebody an owner"),
        ('issuer = "https://x"\naudience = "p"\naudiences = ["q"]', "there is no `audiences`"),
        ('issuer = "https://x"\naudience = "p"\nprincipals = {a = 1}', "table of texts"),
    ],
)
def test_settings_that_could_let_somebody_in_by_mistake_are_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(SettingsRefused, match="oidc: ") as refused:
        config(tmp_path, text)
    assert words in str(refused.value)


async def test_a_person_who_was_added_is_found_at_once(site: Site, desk: Desk, provider: LoopbackIssuer) -> None:
    token = provider.token(sub="eva")
    await site.refused(token)
    await desk.store.access.add_principal(PrincipalRecord("eva", "person", NOW, "ann"))
    assert (await site.caller(token)).principal == "eva"
