"""Which steps of a plan hosts do only when people have signed it: told before anybody waits for what cannot come.

What a host asks for is its own setting, told as a fact; the agent decides by it, this only tells people.
"""

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from pilotage_coordinator.domain.execution.index import ASK
from pilotage_coordinator.domain.inventory import Inventory
from pilotage_coordinator.domain.plan import Place, Plan
from pilotage_coordinator.domain.planning.every_step import all_steps, hosts_of
from pilotage_coordinator.domain.planning.request import Note
from pilotage_coordinator.domain.signing_demand import demand_of
from pilotage_coordinator.domain.step_type import StepTypeInfo


def wanted_signatures(plan: Plan, inventory: Inventory) -> Iterator[Note]:
    """Yield, for each step and host that wants it, how many have to sign; and where it is so, that nobody is asked."""
    if not any(demand_of(inventory[name]) for name in plan.host_ids):
        return
    asks = _asks(plan)
    hosts = hosts_of(plan)
    for step in all_steps(plan):
        if step.type is None or step.place is Place.COORDINATOR:
            continue
        for name in hosts[step.path]:
            host = inventory.get(name)
            demand = demand_of(host) if host is not None else None
            if host is None or demand is None or not _concerns(demand, host.step_types.get(step.type.name)):
                continue
            count = demand.get("quorum")
            who = f"{count} of the approvers" if isinstance(count, int) and count != 1 else "one of the approvers"
            text = f"the host does this only if {who} that are pinned there signed the plan"
            lack = "" if asks else "; nobody is asked to approve it: give the step `requires_approval: true`"
            yield Note(text + lack, step.path, name)


def _concerns(demand: Mapping[str, Any], info: StepTypeInfo | None) -> bool:
    free = demand.get("unsigned")
    if info is None or (isinstance(free, list) and any(fnmatchcase(info.name, str(each)) for each in free)):
        return False
    return demand.get("steps") == "all" or info.destructive or bool(info.author_effects)


def _asks(plan: Plan) -> bool:
    return bool(plan.approvals) or any(
        step.approvals
        or (step.type is not None and step.type.name == ASK)
        or any(batch.approval is not None for batch in step.rollout.batches)
        for step in all_steps(plan)
    )
