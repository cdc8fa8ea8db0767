"""The rule that says whether somebody may do something, and what limits and patterns mean."""

import pytest
from pilotage_coordinator.domain.access.errors import AccessRefused
from pilotage_coordinator.domain.access.grant import Grant, held, holds_all, may, may_somewhere, might
from pilotage_coordinator.domain.access.permission import check_pattern, gives, includes
from pilotage_coordinator.domain.access.principal import PrincipalKind, check_name
from pilotage_coordinator.domain.access.public_key import read_public_key
from pilotage_coordinator.domain.access.role import BUILT_IN, Role
from pilotage_coordinator.domain.access.scope import EVERYTHING, WHOLE, Scope, Subject, scope_of
from pilotage_coordinator.domain.inventory import Host

from tests.unit.service.desk import KEY

PERSON = PrincipalKind.PERSON
STAGING = Host("h1", "s1", labels={"role": "db"}, environment="staging")
OTHER_STAGING = Host("h2", "s2", labels={"role": "web"}, environment="staging")
PRODUCTION = Host("h3", "p1", labels={"role": "db"}, environment="production")


def one(*permissions: str, **limits: object) -> tuple[Grant, ...]:
    """Return one grant of a role with these permissions, within these limits."""
    return (Grant(Role("r", frozenset(permissions)), scope_of(limits)),)


@pytest.mark.parametrize(
    ("pattern", "permission", "other", "own"),
    [
        ("*", "run.start", True, True),
        ("run.*", "run.start", True, True),
        ("run.*", "host.read", False, False),
        ("*.read", "host.read", True, True),
        ("*.read", "host.write", False, False),
        ("run.start", "run.start", True, True),
        ("run.start", "run.starts", False, False),
        ("run.control:own", "run.control", False, True),
        ("*:own", "token.write", False, True),
        ("*.read:own", "token.read", False, True),
    ],
)
def test_what_a_pattern_gives(pattern: str, permission: str, other: bool, own: bool) -> None:
    check_pattern(pattern)
    assert gives(pattern, permission, own=False) is other
    assert gives(pattern, permission, own=True) is own


@pytest.mark.parametrize("text", ["", "**", "run", "run.*.x", "*.write", "run.start:mine", "Run.start", "*.*", "a.b\n"])
def test_what_is_no_pattern_is_refused(text: str) -> None:
    with pytest.raises(AccessRefused, match="is no permission"):
        check_pattern(text)


@pytest.mark.parametrize(
    ("wider", "pattern", "includes_it"),
    [
        ("*", "*", True),
        ("*", "*.read:own", True),
        ("*:own", "*", False),
        ("*:own", "run.start:own", True),
        ("run.*", "run.start", True),
        ("run.*", "*", False),
        ("run.*", "runs.start", False),
        ("*.read", "host.read", True),
        ("*.read", "host.*", False),
        ("host.read", "*.read", False),
        ("run.start:own", "run.start", False),
    ],
)
def test_whether_one_pattern_gives_all_of_another(wider: str, pattern: str, includes_it: bool) -> None:
    assert includes(wider, pattern) is includes_it


def test_without_a_grant_everything_is_denied() -> None:
    assert not may(PERSON, (), "run.read", Subject(own=True))
    assert not might(PERSON, (), "run.read")
    assert may(PERSON, (), "self.read", WHOLE)


@pytest.mark.parametrize(
    ("limits", "subject", "allowed"),
    [
        ({}, WHOLE, True),
        ({"categories": ["backup"]}, WHOLE, False),
        ({"categories": ["backup"]}, Subject("nightly", "backup"), True),
        ({"categories": ["backup"]}, Subject("nightly", ""), False),
        ({"categories": ["backup"]}, Subject(None, None, (STAGING,)), False),
        ({"blueprints": ["nightly*"]}, Subject("nightly_db", "x"), True),
        ({"blueprints": ["nightly*"]}, Subject("weekly", "x"), False),
        ({"blueprints": ["nightly"], "categories": ["backup"]}, Subject("nightly", "upgrade"), False),
        ({"environments": ["staging"]}, Subject("b", "c", (STAGING,)), True),
        ({"environments": ["staging"]}, Subject("b", "c", (STAGING, PRODUCTION)), False),
        ({"environments": ["staging"]}, Subject("b", "c", ()), False),
        ({"environments": ["staging"]}, Subject("b", "c", (STAGING, None)), False),
        ({"hosts": "role=db"}, Subject("b", "c", (STAGING, PRODUCTION)), True),
        ({"hosts": "role=db"}, Subject("b", "c", (OTHER_STAGING,)), False),
        ({"hosts": "env!=production"}, Subject("b", "c", (None,)), False),
        ({"hosts": "role=db", "environments": ["staging"]}, Subject("b", "c", (PRODUCTION,)), False),
    ],
)
def test_limits(limits: dict[str, object], subject: Subject, allowed: bool) -> None:
    assert may(PERSON, one("run.start", **limits), "run.start", subject) is allowed


def test_several_hosts_may_lie_inside_of_several_grants() -> None:
    both = (*one("run.start", environments=["staging"]), *one("run.start", environments=["production"]))
    assert may(PERSON, both, "run.start", Subject("b", "c", (STAGING, PRODUCTION)))
    # And yet what is limited to one blueprint is not widened by what another grant says of hosts.
    mixed = (*one("run.start", blueprints=["a"], environments=["staging"]), *one("run.start", blueprints=["b"]))
    assert not may(PERSON, mixed, "run.start", Subject("a", "c", (PRODUCTION,)))
    # Nor does a grant of another permission count.
    other = (*one("run.start", environments=["staging"]), *one("run.read"))
    assert not may(PERSON, other, "run.start", Subject("b", "c", (PRODUCTION,)))


def test_before_the_hosts_are_known_only_the_blueprint_is_asked() -> None:
    limited = one("plan.make", categories=["backup"], environments=["staging"])
    assert may_somewhere(PERSON, limited, "plan.make", Subject("n", "backup"))
    assert not may_somewhere(PERSON, limited, "plan.make", Subject("n", "upgrade"))


@pytest.mark.parametrize(
    "limits",
    [
        {"users": ["ann"]},
        {"hosts": "role"},
        {"hosts": "=" * 2000},
        {"environments": [""]},
        {"environments": [f"e{number}" for number in range(60)]},
        {"blueprints": ["x" * 300]},
    ],
)
def test_limits_that_cannot_be_are_refused_never_left_out(limits: dict[str, object]) -> None:
    with pytest.raises(AccessRefused):
        scope_of(limits)


def test_limits_are_written_and_read_again() -> None:
    scope = scope_of({"categories": ["b", "a", "a"], "hosts": "role=db"})
    assert scope == Scope(categories=("a", "b"), hosts="role=db")
    assert scope_of(scope.to_json()) == scope
    assert str(scope) == "category a|b; hosts role=db"
    assert (str(EVERYTHING), EVERYTHING.unlimited, scope.unlimited) == ("everything", True, False)


def test_whether_limits_lie_inside_of_others() -> None:
    wide = scope_of({"categories": ["a", "b"]})
    assert EVERYTHING.contains(wide)
    assert not wide.contains(EVERYTHING)
    assert wide.contains(scope_of({"categories": ["a"], "environments": ["staging"]}))
    assert not wide.contains(scope_of({"categories": ["a", "c"]}))
    assert scope_of({"hosts": "role=db"}).contains(scope_of({"hosts": "role=db", "categories": ["a"]}))
    assert not scope_of({"hosts": "role=db"}).contains(scope_of({"hosts": "role=db,env=x"}))


@pytest.mark.parametrize("role", BUILT_IN)
def test_only_who_holds_all_of_it_gives_a_role(role: str) -> None:
    owner, operator = (Grant(BUILT_IN["owner"]),), (Grant(BUILT_IN["operator"]),)
    assert holds_all(PERSON, owner, BUILT_IN[role], EVERYTHING)
    assert holds_all(PERSON, operator, BUILT_IN[role], EVERYTHING) is (role in ("reader", "operator", "assistant"))
    assert not holds_all(PrincipalKind.SERVICE, owner, BUILT_IN[role], EVERYTHING)
    assert not holds_all(PrincipalKind.ASSISTANT, owner, BUILT_IN[role], EVERYTHING)
    limited = (Grant(BUILT_IN["owner"], scope_of({"environments": ["staging"]})),)
    assert holds_all(PERSON, limited, BUILT_IN[role], scope_of({"environments": ["staging"], "categories": ["x"]}))
    assert not holds_all(PERSON, limited, BUILT_IN[role], EVERYTHING)


@pytest.mark.parametrize("permission", ["approval.decide", "host.write", "run.release", "secret.write", "token.write"])
def test_an_assistant_holds_no_more_by_any_role_or_kind_of_thing(permission: str) -> None:
    everything = one("*", "*:own", permission, f"{permission}:own")
    for own in (False, True):
        assert not may(PrincipalKind.ASSISTANT, everything, permission, Subject(own=own))
    assert not might(PrincipalKind.ASSISTANT, everything, permission)
    assert held(PrincipalKind.ASSISTANT, everything, [permission, "run.control"]) == ["run.control:own"]


def test_a_service_decides_nothing() -> None:
    assert not might(PrincipalKind.SERVICE, one("*"), "approval.decide")
    assert might(PrincipalKind.SERVICE, one("*"), "run.release")


@pytest.mark.parametrize("name", ["", "-x", "a b", "coordinator", "Pilotage", "x" * 64, "a/b", "ann\n", "älva"])
def test_a_name_that_cannot_be_is_refused(name: str) -> None:
    with pytest.raises(AccessRefused):
        check_name(name)


def test_a_public_key_is_read_with_its_fingerprint() -> None:
    key = read_public_key(KEY + "\n")
    assert (key.type, key.comment, key.line) == ("ssh-ed25519", "bob@laptop", KEY)
    # As `ssh-keygen -l` prints it.
    assert key.fingerprint == "SHA256:kmYcvdi2GkPeWxB6XLjrZB8JHsy2Hm8luHMFp9GMvqk"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ssh-dss AAAA", "is not taken"),
        ("ssh-ed25519 !!!", "damaged"),
        (KEY.replace("ssh-ed25519 ", "ecdsa-sha2-nistp256 "), "its type is not"),
        (KEY[:60], "damaged"),
        (KEY + "\n" + KEY, "one line"),
        ('command="x" ' + KEY, "is not taken"),
        ("ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQC7", "damaged"),
    ],
)
def test_what_is_no_public_key_is_refused(text: str, words: str) -> None:
    with pytest.raises(AccessRefused, match=words):
        read_public_key(text)


def test_nothing_of_a_private_key_is_repeated() -> None:
    with pytest.raises(AccessRefused, match="private key") as refusal:
        read_public_key("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk")
    assert "b3Blbn" not in str(refusal.value)
