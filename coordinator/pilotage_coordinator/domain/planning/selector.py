"""Selectors of the command line: `-l role=db|web,env!=prod,name~db*`. All terms must hold.

Keys: `name`, `address`, `environment` (or `env` where no label is called so), and all others are labels. Operators: `=`
one of, `!=` none of, `~` like one of, `!~` like none of; alternatives are separated by `|`, patterns know `*` and `?`.
`!=` and `!~` also hold for hosts that do not have the label. Blueprints select by CEL instead (`select`).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import translate
from typing import Final

from pilotage_coordinator.domain.inventory import Host
from pilotage_coordinator.domain.planning.errors import SelectorRefused

_TERM: Final = re.compile(r"\s*(?P<key>[A-Za-z0-9][A-Za-z0-9._/-]*)\s*(?P<operator>!=|!~|==|=|~)\s*(?P<values>.*?)\s*")
_FORM: Final = "write it as role=db, env!=prod or name~db*, joined by commas"


@dataclass(frozen=True, slots=True)
class Term:
    """One condition: the value of `key` is (not) among `values`, or (not) like one of them."""

    key: str
    values: tuple[str, ...]
    negated: bool = False
    pattern: bool = False

    def matches(self, host: Host) -> bool:
        """Return whether the host fulfils this condition."""
        value = _value(host, self.key)
        found = value is not None and any(self._one(value, wanted) for wanted in self.values)
        return found is not self.negated

    def _one(self, value: str, wanted: str) -> bool:
        return re.fullmatch(translate(wanted), value) is not None if self.pattern else value == wanted


@dataclass(frozen=True, slots=True)
class Selector:
    """What `-l` says."""

    text: str
    terms: tuple[Term, ...]

    def matches(self, host: Host) -> bool:
        """Return whether the host fulfils every condition."""
        return all(term.matches(host) for term in self.terms)

    def names(self, hosts: Iterable[Host]) -> tuple[str, ...]:
        """Return the names of the hosts that match, in the order given."""
        return tuple(host.name for host in hosts if self.matches(host))


def parse_selector(text: str) -> Selector:
    """Read a selector; raises SelectorRefused that quotes the term."""
    terms: list[Term] = []
    for part in text.split(","):
        match = _TERM.fullmatch(part)
        values = tuple(each.strip() for each in match["values"].split("|")) if match else ()
        if match is None or not all(values):
            said = f"the term `{part.strip()[:60]}`" if part.strip() else "an empty term"
            raise SelectorRefused(f"{said} of the selector cannot be read: {_FORM}; for one host: name={part.strip()}")
        operator = match["operator"]
        terms.append(Term(match["key"], values, negated=operator.startswith("!"), pattern=operator.endswith("~")))
    return Selector(text, tuple(terms))


def _value(host: Host, key: str) -> str | None:
    match key:
        case "name":
            return host.name
        case "address":
            return host.address
        case "environment":
            return host.environment
        case "env" if "env" not in host.labels:
            return host.environment
    return host.labels.get(key)
