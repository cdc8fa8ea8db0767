"""Which blueprints a schedule runs, and whether its owner has seen them: it runs with the owner's rights.

Whoever may store blueprints could else let anything run as the owner: a schedule of `id` takes the newest version, and
blueprints take the newest of those that they call.
"""

from collections.abc import Mapping

from pilotage_coordinator.domain.access.principal import PrincipalKind
from pilotage_coordinator.domain.access.role import OWNER
from pilotage_coordinator.domain.access.scope import EVERYTHING
from pilotage_coordinator.domain.plan import Plan
from pilotage_coordinator.domain.planning.pins import pins_of
from pilotage_coordinator.domain.schedule.firing import UNSEEN
from pilotage_coordinator.service.holder import grants_of
from pilotage_coordinator.service.services import Services
from pilotage_coordinator.store.errors import NotFound
from pilotage_coordinator.store.records import ScheduleRecord

MOST_NAMED = 3
"""Blueprints that one reason names."""


async def blueprints_of(services: Services, reference: str) -> dict[str, str]:
    """Return what a reference stands for now, first, and every blueprint that it calls: `id@version` to digest.

    Raises store.NotFound, and BlueprintUnreadable.
    """
    id, _, version = reference.partition("@")
    waiting, found = [await services.library.get(id, version)], dict[str, str]()
    while waiting:
        stored = waiting.pop()
        name = f"{stored.ref.id}@{stored.ref.version}"
        if name in found:
            continue
        found[name] = stored.ref.digest
        for step in stored.blueprint.all_steps():
            called = services.library.newest(step.call.id, step.call.major) if step.call is not None else None
            if called is not None:
                waiting.append(called)
    return found


async def unseen(services: Services, schedule: ScheduleRecord, now: Mapping[str, str]) -> str:
    """Return why a schedule may not run these blueprints before its owner says so; empty where it may."""
    found = []
    for name, digest in now.items():
        if schedule.seen.get(name) == digest:
            continue
        id, _, version = name.partition("@")
        added_by = (await services.store.blueprints.get(id, version)).added_by
        if added_by != schedule.owner and not await _trusted(services, added_by):
            found.append(f"{name} ({digest[:19]}) was stored by {added_by}")
    if not found:
        return ""
    more = f" and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
    return UNSEEN + "; ".join(found[:MOST_NAMED]) + more


def strangers(plan: Plan, known: Mapping[str, str]) -> list[str]:
    """Return the blueprints of a plan that are not among the known ones."""
    refs = {plan.blueprint, *pins_of(plan).blueprints.values()}
    return sorted(name for ref in refs if known.get(name := f"{ref.id}@{ref.version}") != ref.digest)


async def _trusted(services: Services, name: str) -> bool:
    """Return whether somebody is a person with the role owner, without limits, who is not disabled."""
    try:
        holder = await services.store.access.holder(name)
    except NotFound:
        return False
    if holder.principal.disabled_at is not None or holder.principal.kind != PrincipalKind.PERSON:
        return False
    return any(each.role.name == OWNER and each.scope == EVERYTHING for each in grants_of(holder))
