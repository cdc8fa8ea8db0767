"""The row of an execution, or the reason why there is none."""

from pilotage_coordinator.service.errors import NotFound
from pilotage_coordinator.service.services import Services
from pilotage_coordinator.store import errors as store_errors
from pilotage_coordinator.store.records import ExecutionRecord


async def record_of(services: Services, execution: str) -> ExecutionRecord:
    """Return an execution's row; raise NotFound."""
    try:
        return await services.store.executions.get(execution)
    except store_errors.NotFound as error:
        raise NotFound(
            f"there is no execution {execution}",
            fix="`pilotage run list` shows what there is; old ones are removed after `history_days`",
        ) from error
