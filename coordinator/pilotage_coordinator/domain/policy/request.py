"""What an execution was asked for with, as it is stored: who asked, as a policy sees it, and what for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pilotage_coordinator.domain.plan import Json
from pilotage_coordinator.domain.policy.question import Asker, Change
from pilotage_coordinator.domain.policy.rule import ChangeClass


@dataclass(frozen=True, slots=True)
class Requested:
    """Who asks for an execution, and what for."""

    asker: Asker
    change: Change = field(default_factory=Change)

    def to_json(self) -> dict[str, Json]:
        """Return it as JSON values; empty parts are left out."""
        asker, change = self.asker, self.change
        parts: dict[str, Json] = {
            "principal": asker.principal,
            "kind": asker.kind,
            "roles": sorted(asker.roles),
            "class": change.change_class.value if change.change_class is not None else "",
            "reference": change.reference,
            "reason": change.reason,
        }
        return {name: value for name, value in parts.items() if value}

    def change_detail(self) -> dict[str, Json]:
        """Return what the audit says of the change besides its reason; nothing where nothing was given."""
        return {name: value for name, value in self.to_json().items() if name in ("class", "reference")}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Requested":
        """Return what `to_json` wrote."""
        known = value.get("class", "")
        return cls(
            Asker(value.get("principal", ""), value.get("kind", ""), frozenset(value.get("roles", ()))),
            Change(value.get("reference", ""), value.get("reason", ""), ChangeClass(known) if known else None),
        )
