"""The channels that a plan's notifications go to: an unknown one is told when it is planned and not at run time."""

from collections.abc import Collection, Mapping

from pilotage_coordinator.domain.channel import not_configured
from pilotage_coordinator.domain.notification import STEP_TYPE
from pilotage_coordinator.domain.plan import FailureKind, Json, Resolved
from pilotage_coordinator.domain.planning.errors import PlanProblem


def unknown_channels(
    step_type: str,
    parameters: Mapping[str, Json],
    resolved: Mapping[str, Resolved],
    path: str,
    configured: Collection[str],
) -> list[PlanProblem]:
    """Return what to say about channels that are not configured. One known only at run time is looked at then."""
    if step_type != STEP_TYPE:
        return []
    active = [each for each in resolved.values() if each.when is not False]
    if resolved and not active:
        return []
    trees = [parameters, *(tree for each in active for tree in (each.parameters, *each.item_parameters))]
    named = dict.fromkeys(to for tree in trees if isinstance(to := tree.get("to"), str) and "{{" not in to)
    unknown = [to for to in named if to not in configured]
    return [PlanProblem(FailureKind.PARAMETER, *not_configured(to, configured), path) for to in unknown]
