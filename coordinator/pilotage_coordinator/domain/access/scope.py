"""Scopes: to which things a grant is limited. A thing lies inside when it lies inside every limit that is set.

A limit on a property that a thing does not have keeps the thing outside: a grant for the category `backup` gives
nothing about secrets, and one for `environment=staging` gives nothing about a plan that names no host.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any, Final

from pilotage_coordinator.domain.access.errors import AccessRefused
from pilotage_coordinator.domain.inventory import Host
from pilotage_coordinator.domain.plan import Json
from pilotage_coordinator.domain.planning.errors import SelectorRefused
from pilotage_coordinator.domain.planning.selector import Selector, parse_selector

MOST_ALTERNATIVES: Final = 50
LONGEST_ALTERNATIVE: Final = 253
LONGEST_SELECTOR: Final = 1000


@dataclass(frozen=True, slots=True)
class Subject:
    """What an operation is about, as far as limits can ask. Without anything: the coordinator as a whole."""

    blueprint: str | None = None
    """Id of a stored blueprint; None also for one that somebody only sent as text, whose words about itself prove
    nothing."""
    category: str | None = None
    hosts: tuple[Host | None, ...] = ()
    """Every host that it touches; None stands for one that is in the inventory no more."""
    own: bool = False
    """Whether it is the caller's own."""


WHOLE: Final = Subject()


@dataclass(frozen=True, slots=True)
class Scope:
    """The limits of a grant; what is empty limits nothing."""

    blueprints: tuple[str, ...] = ()
    """Ids, or patterns with `*` and `?`."""
    categories: tuple[str, ...] = ()
    environments: tuple[str, ...] = ()
    hosts: str = ""
    """A selector such as `role=db,env!=prod`."""

    @property
    def unlimited(self) -> bool:
        """Return whether it limits nothing."""
        return self == EVERYTHING

    def covers_blueprint(self, subject: Subject) -> bool:
        """Return whether the subject lies inside as far as its blueprint says."""
        if self.blueprints and not _like(subject.blueprint, self.blueprints):
            return False
        return not self.categories or (subject.category is not None and subject.category in self.categories)

    def covers_host(self, host: Host | None) -> bool:
        """Return whether a host lies inside; None stands for one that is not known, or for no host at all."""
        if not (self.environments or self.hosts):
            return True
        if host is None or (self.environments and host.environment not in self.environments):
            return False
        return not self.hosts or _selector(self.hosts).matches(host)

    def contains(self, other: "Scope") -> bool:
        """Return whether all that lies inside `other` lies inside this one, as far as their texts show."""
        pairs = (
            (self.blueprints, other.blueprints),
            (self.categories, other.categories),
            (self.environments, other.environments),
        )
        if not all(not wide or (narrow and set(narrow) <= set(wide)) for wide, narrow in pairs):
            return False
        return not self.hosts or self.hosts == other.hosts

    def to_json(self) -> dict[str, Json]:
        """Return the limits that are set."""
        found: dict[str, Json] = {
            "blueprints": list(self.blueprints),
            "categories": list(self.categories),
            "environments": list(self.environments),
            "hosts": self.hosts,
        }
        return {name: value for name, value in found.items() if value}

    def __str__(self) -> str:
        """Return the limits in words; `everything` without any."""
        parts = [
            f"{name} {'|'.join(values)}"
            for name, values in (
                ("blueprint", self.blueprints),
                ("category", self.categories),
                ("environment", self.environments),
            )
            if values
        ]
        return "; ".join([*parts, *([f"hosts {self.hosts}"] if self.hosts else [])]) or "everything"


EVERYTHING: Final = Scope()


def scope_of(value: Mapping[str, Any]) -> Scope:
    """Return the scope that `to_json` wrote, or that somebody asks for; raises AccessRefused for one that cannot be."""
    unknown = set(value) - {"blueprints", "categories", "environments", "hosts"}
    if unknown:
        # A limit that is not understood must not be taken for none.
        raise AccessRefused(f"a grant cannot be limited by {', '.join(sorted(unknown))}")
    scope = Scope(
        tuple(sorted(set(value.get("blueprints", ())))),
        tuple(sorted(set(value.get("categories", ())))),
        tuple(sorted(set(value.get("environments", ())))),
        value.get("hosts", ""),
    )
    for name, values in (("blueprint", scope.blueprints), ("category", scope.categories)):
        _check_alternatives(name, values)
    _check_alternatives("environment", scope.environments)
    if len(scope.hosts) > LONGEST_SELECTOR:
        raise AccessRefused(f"a grant's host selector has at most {LONGEST_SELECTOR} characters")
    if scope.hosts:
        try:
            parse_selector(scope.hosts)
        except SelectorRefused as error:
            raise AccessRefused(str(error)) from error
    return scope


def _check_alternatives(name: str, values: tuple[str, ...]) -> None:
    if len(values) > MOST_ALTERNATIVES:
        raise AccessRefused(f"a grant names at most {MOST_ALTERNATIVES} of the kind {name}")
    if not all(isinstance(each, str) and 0 < len(each.strip()) <= LONGEST_ALTERNATIVE for each in values):
        raise AccessRefused(f"a grant's {name} is a text of 1 to {LONGEST_ALTERNATIVE} characters")


@lru_cache(maxsize=256)
def _selector(text: str) -> Selector:
    return parse_selector(text)


def _like(id: str | None, patterns: tuple[str, ...]) -> bool:
    return id is not None and any(fnmatchcase(id, pattern) for pattern in patterns)
