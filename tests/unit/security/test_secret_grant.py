"""Who may be given a secret's value: limits of grants, and what was only sent as text."""

import pytest
from pilotage_coordinator.domain.access.errors import AccessRefused
from pilotage_coordinator.domain.inventory import Host
from pilotage_coordinator.domain.secret_grant import (
    ANYBODY,
    SecretGrant,
    SecretUser,
    advice,
    covered,
    grant_of,
)

DB = Host("hst_1", "db1", labels={"role": "db"}, environment="production")
WEB = Host("hst_2", "web1", labels={"role": "web"}, environment="test")


def user(step_type: str = "backup.create", blueprint: str | None = "nightly", host: Host | None = DB) -> SecretUser:
    return SecretUser(step_type, blueprint, "backup" if blueprint else None, host)


@pytest.mark.parametrize(
    ("limits", "who", "given"),
    [
        ({}, user(), True),
        ({}, user(blueprint=None, host=None), True),
        ({"step_types": ["backup.*"]}, user(), True),
        ({"step_types": ["backup.*"]}, user("command.run"), False),
        ({"step_types": ["backup"]}, user(), False),
        ({"blueprints": ["night*"]}, user(), True),
        ({"blueprints": ["nightly"]}, user(blueprint="nightly_too"), False),
        ({"blueprints": ["*"]}, user(blueprint=None), False),
        ({"categories": ["backup"]}, user(), True),
        ({"categories": ["backup"]}, user(blueprint=None), False),
        ({"hosts": "role=db"}, user(), True),
        ({"hosts": "role=db"}, user(host=WEB), False),
        ({"hosts": "role=db"}, user(host=None), False),
        ({"environments": ["production"]}, user(), True),
        ({"environments": ["production"]}, user(host=WEB), False),
        ({"blueprints": ["nightly"], "step_types": ["backup.*"], "hosts": "role=db"}, user(), True),
        ({"blueprints": ["nightly"], "step_types": ["backup.*"], "hosts": "role=web"}, user(), False),
    ],
)
def test_a_grant_covers_what_lies_within_all_its_limits(
    limits: dict[str, object], who: SecretUser, given: bool
) -> None:
    grant = grant_of(limits)
    assert grant.covers(who) is given
    assert grant_of(grant.to_json()) == grant


def test_without_a_grant_nobody_is_given_a_secret_and_one_of_several_is_enough() -> None:
    assert not covered((), user())
    assert covered((grant_of({"hosts": "role=web"}), grant_of({"step_types": ["backup.create"]})), user())
    assert covered((ANYBODY,), user(blueprint=None, host=None))


@pytest.mark.parametrize(
    "limits",
    [{"users": ["anna"]}, {"step_types": [""]}, {"step_types": ["x" * 101]}, {"hosts": "role"}, {"blueprints": [" "]}],
)
def test_a_limit_that_is_not_understood_is_refused_and_never_taken_for_none(limits: dict[str, object]) -> None:
    with pytest.raises(AccessRefused):
        grant_of(limits)


def test_what_was_refused_names_the_command_that_grants_it() -> None:
    assert advice("vault/key", user()) == "pilotage secret grant vault/key --blueprint nightly --step 'backup.*'"
    assert "pilotage blueprint add" in advice("vault/key", user(blueprint=None))
    assert str(SecretGrant(("backup.*",))) == "step backup.*"
    assert str(ANYBODY) == "everything"
