"""Operations on the coordinator itself."""

from importlib.metadata import version

from pilotage_coordinator.service.caller import Caller
from pilotage_coordinator.service.services import Services
from pilotage_coordinator.service.verb import allowed, verb
from pilotage_coordinator.service.wire import Answer, Request, rfc3339


class AskStatus(Request):
    """Ask how the coordinator is."""


class AskAuthority(Request):
    """Ask for the certificate of the coordinator's own authority."""


class StopCoordinator(Request):
    """Ask it to stop."""

    def subject(self) -> str:
        return "coordinator"


class StatusAnswer(Answer):
    """The coordinator, at a glance."""

    coordinator_id: str
    version: str
    epoch: int
    started_at: str
    state_dir: str
    fleet_address: str
    enrol_address: str
    https_address: str
    """Where the API is served over the network; empty: nowhere."""
    hosts_online: int
    hosts_total: int
    executions_active: int
    stopping: bool


class AuthorityAnswer(Answer):
    """The authority's certificate in PEM. It is no secret."""

    certificate: str


class Stopping(Answer):
    """It will stop; steps that run on hosts go on, and are taken up again at the next start."""

    executions_active: int


@verb("coordinator.status")
async def status(services: Services, caller: Caller, request: AskStatus) -> StatusAnswer:
    """Show how the coordinator is: epoch, addresses, hosts, executions."""
    hosts = await services.store.hosts.all()
    coordinator = services.coordinator
    return StatusAnswer(
        coordinator_id=services.store.coordinator_id,
        version=version("pilotage"),
        epoch=await services.store.epoch(),
        started_at=rfc3339(coordinator.started_at),
        state_dir=coordinator.state_dir,
        fleet_address=coordinator.fleet_address,
        enrol_address=coordinator.enrol_address,
        https_address=coordinator.https_address,
        hosts_online=sum(services.hosts.online(each.name) for each in hosts),
        hosts_total=len(hosts),
        executions_active=len(await services.store.executions.active()),
        stopping=coordinator.stopping,
    )


@verb("coordinator.authority")
async def show_authority(services: Services, caller: Caller, request: AskAuthority) -> AuthorityAnswer:
    """Show the certificate by which programs on other machines know this coordinator."""
    return AuthorityAnswer(certificate=services.coordinator.authority_pem)


@verb("coordinator.stop")
async def stop(services: Services, caller: Caller, request: StopCoordinator) -> Stopping:
    """Stop the coordinator gracefully; steps that run on hosts go on."""
    active = len(await services.store.executions.active())
    await services.store.audit.append(*allowed(services, caller, "coordinator.stop", request.subject()))
    services.coordinator.stop()
    return Stopping(executions_active=active)
