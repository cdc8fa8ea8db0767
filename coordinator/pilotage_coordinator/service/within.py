"""What stands before a plan, and before a question to hosts, of a caller whose grants have limits."""

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, replace

from pilotage_coordinator.domain.access.scope import Subject
from pilotage_coordinator.domain.blueprint.model import Blueprint
from pilotage_coordinator.service.caller import Caller
from pilotage_coordinator.service.ports import Within
from pilotage_coordinator.service.services import Services
from pilotage_coordinator.service.subjects import outside, require
from pilotage_coordinator.store import errors as store_errors


@dataclass(frozen=True, slots=True)
class Wanted:
    """For which operation hosts are asked or planned with, the permission that it needs, and what it is called."""

    operation: str
    permission: str
    what: str


async def within_limits_of(
    services: Services, caller: Caller, wanted: Wanted, blueprint: str | Blueprint, version: str
) -> tuple[str, Within | None]:
    """Return the version that is judged here, and what refuses hosts outside of the caller's limits (None: no limits).

    Raises Denied at once when the blueprint lies outside. Nothing that a text sent along says of itself is believed:
    it has neither id nor category here.
    """
    if caller.unlimited(wanted.permission):
        return version, None
    about = Subject(own=True)
    if isinstance(blueprint, str):
        about = Subject(blueprint, own=True)
        with contextlib.suppress(store_errors.NotFound):
            stored = await services.library.get(blueprint, version)
            version, about = stored.ref.version, replace(about, category=stored.blueprint.category)
    if not caller.may_somewhere(wanted.permission, about):
        raise outside(caller, wanted.operation, wanted.permission, wanted.what)

    def within(names: Iterable[str]) -> None:
        for name in sorted(names) or [""]:
            hosts = services.subjects.of_hosts([name] if name else [])
            what = f"{wanted.what} on {name}" if name else f"{wanted.what} on no host at all"
            require(caller, wanted.operation, wanted.permission, replace(about, hosts=hosts), what)

    return version, within
