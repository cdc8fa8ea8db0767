"""Checks of compliance as they are stored: beside plans, and as evidence."""

from collections.abc import Mapping
from typing import Any

from pilotage_coordinator.domain.compliance.finding import Checked
from pilotage_coordinator.domain.plan import Json, Plan
from pilotage_coordinator.domain.planning.json_form import plain, read, written
from pilotage_coordinator.domain.policy.ruling import Asking
from pilotage_coordinator.store.records import ComplianceRecord


def checked_content(checked: Checked) -> dict[str, Json]:
    """Return a check as JSON values."""
    content: dict[str, Json] = plain(written(checked))
    return content


def read_checked(content: Mapping[str, Any]) -> Checked:
    """Return the check that `checked_content` wrote; raises PlanUnreadable for one of another form."""
    return read(Checked, content, "check of compliance")


def checked_record(checked: Checked, plan: Plan, asking: Asking, execution: str = "") -> ComplianceRecord:
    """Return a check as it is kept: of an execution, or, without one, of what it has kept from being started."""
    ref, asker = plan.blueprint, asking.asker
    return ComplianceRecord(
        at=checked.at,
        stage=asking.stage.value,
        execution=execution,
        blueprint=ref.id,
        version=ref.version,
        digest=ref.digest,
        plan_digest=plan.digest,
        principal=asker.principal,
        principal_kind=asker.kind,
        policy=checked.policy,
        outcome=checked.outcome.value,
        content=checked_content(checked),
    )
