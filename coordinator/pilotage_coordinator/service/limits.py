"""Limits as requests and answers carry them: of a role that is given, of a secret that may be used."""

from typing import Annotated

from pydantic import Field, StringConstraints

from pilotage_coordinator.domain.access.scope import Scope, scope_of
from pilotage_coordinator.service.wire import Request

Alternative = Annotated[str, StringConstraints(min_length=1, max_length=253)]
Alternatives = Annotated[list[Alternative], Field(max_length=50)]


class Limits(Request):
    """To which things something is given; what is empty limits nothing."""

    blueprints: Alternatives = Field(default_factory=list)
    """Ids of stored blueprints, or patterns with `*` and `?`."""
    categories: Alternatives = Field(default_factory=list)
    environments: Alternatives = Field(default_factory=list)
    hosts: Annotated[str, StringConstraints(max_length=1000)] = ""
    """A selector such as `role=db`."""

    def scope(self) -> Scope:
        """Return the limits as a scope; raises AccessRefused."""
        return scope_of(self.model_dump(include=set(Limits.model_fields)))
