"""The doctor's operation: look at everything that can be wrong with a coordinator."""

from pilotage_coordinator.service.caller import Caller
from pilotage_coordinator.service.services import Services
from pilotage_coordinator.service.verb import verb
from pilotage_coordinator.service.wire import Answer, Request


class Examine(Request):
    """Ask for every check."""


class FindingAnswer(Answer):
    """What one check found: `ok`, `warning` or `failure`, and what to do."""

    check: str
    verdict: str
    detail: str
    fix: str


class Examined(Answer):
    """All findings; `healthy` is false when one of them is a failure."""

    healthy: bool
    items: list[FindingAnswer]


@verb("doctor")
async def examine(services: Services, caller: Caller, request: Examine) -> Examined:
    """Check the coordinator: database, disk, keys, certificates, hosts, and what each needs."""
    items = [
        FindingAnswer(check=each.check, verdict=each.verdict, detail=each.detail, fix=each.fix)
        for each in await services.doctor.examine()
    ]
    return Examined(healthy=all(each.verdict != "failure" for each in items), items=items)
