"""Which hosts to ask what for the previews of a plan."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from pilotage_coordinator.domain.blueprint_files import with_files
from pilotage_coordinator.domain.plan import Effect, Json, Place, Plan, StepKind
from pilotage_coordinator.domain.planning.planned_values import has_mark
from pilotage_coordinator.domain.planning.view import HostRow, PreviewKey, StepRow, view_plan
from pilotage_coordinator.domain.values import SECOND

PREVIEW_TIMEOUT: Final = 30 * SECOND
"""A preview helps people to decide; a plan is good without it."""


@dataclass(frozen=True, slots=True)
class PreviewQuestion:
    """One preview to be asked of a host (QueryPurpose.PREVIEW)."""

    key: PreviewKey
    step_type: str
    parameters: Mapping[str, Json]
    timeout: int = PREVIEW_TIMEOUT

    @property
    def host(self) -> str:
        """Return the host to ask."""
        return self.key[1]


def preview_questions(plan: Plan) -> Iterator[PreviewQuestion]:
    """Yield what to ask, in plan order.

    Asked are leaves on hosts that may change something and run in the body of the plan. Left out are those with a
    parameter that is known only at run time, or made from a sensitive one: the plan does not hold its value.
    """
    for row in view_plan(plan).rows:
        step = row.step
        if step.kind is not StepKind.LEAF or step.effect is Effect.READ or step.place is Place.COORDINATOR:
            continue
        if row.section == "steps" and step.hosts_from is None:
            for batch in row.batches:
                for host in batch.hosts:
                    yield from _of_host(plan, row, host)


def _of_host(plan: Plan, row: StepRow, host: HostRow) -> Iterator[PreviewQuestion]:
    step = row.step
    if host.skipped or step.type is None or (row.loops and host.items is None):
        return
    for item in host.items if host.items is not None else (None,):
        found = {**host.parameters, **(item.parameters if item is not None else {})}
        if has_mark(found, "run_time", "sensitive"):
            continue
        key = (step.path, host.host, item.key if item is not None else "")
        yield PreviewQuestion(key, step.type.name, with_files({**step.parameters, **found}, step.files, plan.files))
