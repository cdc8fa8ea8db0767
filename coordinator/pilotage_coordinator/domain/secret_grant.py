"""Grants of secrets: which steps of which blueprints, on which hosts, may be given a secret's value.

Without a grant nobody is given it: whoever may write a blueprint could print any secret otherwise, and redaction is a
net, no wall. Grants name blueprints by the id that a plan starts from, whichever it calls; a blueprint that somebody
only sent as text has none, for its words about itself prove nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

from pilotage_coordinator.domain.access.errors import AccessRefused
from pilotage_coordinator.domain.access.scope import EVERYTHING, Scope, Subject, scope_of
from pilotage_coordinator.domain.inventory import Host
from pilotage_coordinator.domain.plan import Json

MOST_GRANTS: Final = 50
"""Of one secret."""
_MOST_TYPES: Final = 50
_LONGEST_TYPE: Final = 100


@dataclass(frozen=True, slots=True)
class SecretUser:
    """Who asks for a secret's value: a step, as far as grants can ask."""

    step_type: str
    blueprint: str | None
    """Id of the stored blueprint that was planned; None for one that was only sent."""
    category: str | None = None
    host: Host | None = None
    """Where the value would go; None: the coordinator itself."""

    def __str__(self) -> str:
        """Return it in words."""
        place = f"on {self.host.name}" if self.host is not None else "on the coordinator"
        return f"{self.step_type} {place} in {named(self.blueprint)}"


@dataclass(frozen=True, slots=True)
class SecretGrant:
    """Leave to use a secret, within limits; what is empty limits nothing."""

    step_types: tuple[str, ...] = ()
    """Names, or patterns such as `backup.*`."""
    scope: Scope = EVERYTHING

    def covers(self, user: SecretUser) -> bool:
        """Return whether this user may be given the value."""
        if self.step_types and not any(fnmatchcase(user.step_type, pattern) for pattern in self.step_types):
            return False
        subject = Subject(user.blueprint, user.category)
        return self.scope.covers_blueprint(subject) and self.scope.covers_host(user.host)

    def to_json(self) -> dict[str, Json]:
        """Return the limits that are set."""
        types: dict[str, Json] = {"step_types": list(self.step_types)} if self.step_types else {}
        return {**types, **self.scope.to_json()}

    def __str__(self) -> str:
        """Return the limits in words; `everything` without any."""
        parts = [f"step {'|'.join(self.step_types)}"] if self.step_types else []
        if not self.scope.unlimited:
            parts.append(str(self.scope))
        return "; ".join(parts) or "everything"


ANYBODY: Final = SecretGrant()


def grant_of(value: Mapping[str, Any]) -> SecretGrant:
    """Return the grant that `to_json` wrote, or that somebody asks for; raises AccessRefused for one that cannot be."""
    types = tuple(sorted(set(value.get("step_types", ()))))
    if len(types) > _MOST_TYPES or not all(isinstance(each, str) and 0 < len(each) <= _LONGEST_TYPE for each in types):
        raise AccessRefused(f"a grant names at most {_MOST_TYPES} step types, of 1 to {_LONGEST_TYPE} characters each")
    return SecretGrant(types, scope_of({name: each for name, each in value.items() if name != "step_types"}))


def covered(grants: Iterable[SecretGrant], user: SecretUser) -> bool:
    """Return whether any of the grants gives the value to this user."""
    return any(grant.covers(user) for grant in grants)


def advice(name: str, user: SecretUser) -> str:
    """Return the command with which somebody could grant what was refused."""
    types = f"{user.step_type.partition('.')[0]}.*"
    if user.blueprint is None:
        return (
            f"store the blueprint (`pilotage blueprint add`) and grant it the secret: "
            f"pilotage secret grant {name} --blueprint ID --step '{types}'"
        )
    return f"pilotage secret grant {name} --blueprint {user.blueprint} --step '{types}'"


def named(blueprint: str | None) -> str:
    """Return a blueprint in words."""
    return f"blueprint {blueprint}" if blueprint is not None else "a blueprint that is not stored"
