"""What an operation is about, as the limits of grants ask: which blueprint, of which category, on which hosts, whose.

Asked for callers whose grants have limits only; for all others nothing is read.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final, Protocol

from pilotage_coordinator.domain.access.scope import Subject
from pilotage_coordinator.domain.inventory import Host
from pilotage_coordinator.domain.plan import BlueprintRef, Json, Plan
from pilotage_coordinator.service.caller import Caller
from pilotage_coordinator.service.errors import Denied
from pilotage_coordinator.service.operations import About, Operation
from pilotage_coordinator.service.wire import Request
from pilotage_coordinator.store.errors import NotFound
from pilotage_coordinator.store.protocol import Store
from pilotage_coordinator.store.records import BlueprintRecord, ExecutionRecord, HostRecord, ScheduleRecord

MOST_PLANS: Final = 5_000
"""Plans whose facts are kept at hand; a plan never changes."""
ENVIRONMENT: Final = "environment"


class KnownHosts(Protocol):
    """The inventory as it is now: `runtime.inventory.LiveInventory`."""

    def get(self, name: str) -> Host | None:
        """Return a host that has joined, or None."""
        ...


@dataclass(frozen=True, slots=True)
class PlanFacts:
    """What limits can ask of a plan: its blueprint, and the name and id of every host that it touches."""

    blueprint: BlueprintRef
    hosts: Mapping[str, str]


@dataclass(slots=True)
class Subjects:
    """Finds out what things are, for the limits of grants."""

    store: Store
    inventory: KnownHosts
    _plans: "OrderedDict[str, PlanFacts]" = field(default_factory=OrderedDict)

    async def of_request(self, row: Operation, caller: Caller, request: Request) -> Subject:
        """Return what a request is about, as the row of its operation says. Raises store.NotFound."""
        return await _FINDERS[row.about](self, caller, request)

    async def of_blueprint(self, reference: str) -> Subject:
        """Return a stored blueprint by `id`, `id@1` or `id@1.2.0`; one that is not stored has no category."""
        id, _, version = reference.partition("@")
        blueprints = self.store.blueprints
        try:
            if version and not version.isdecimal():
                record = await blueprints.get(id, version)
            else:
                record = await blueprints.newest(id, int(version) if version else None, drafts=True)
        except NotFound:
            return Subject(blueprint=id)
        return Subject(blueprint=id, category=_category(record))

    async def of_plan(self, digest: str, *, own: bool = False) -> Subject:
        """Return a plan that was made before; raises store.NotFound."""
        facts = self._plans.get(digest)
        if facts is None:
            facts = _facts((await self.store.plans.get(digest)).content)
            self._plans[digest] = facts
            while len(self._plans) > MOST_PLANS:
                self._plans.popitem(last=False)
        return await self.of_facts(facts, own=own)

    async def of_made(self, plan: Plan) -> Subject:
        """Return a plan at hand, as the caller's own."""
        return await self.of_facts(PlanFacts(plan.blueprint, _hosts(plan.host_ids, plan.targets)), own=True)

    async def of_facts(self, facts: PlanFacts, *, own: bool) -> Subject:
        """Return what has these facts. A blueprint is known by its digest: a text may call itself anything."""
        ref = facts.blueprint
        hosts = tuple(self._host(name, id) for name, id in facts.hosts.items())
        try:
            record = await self.store.blueprints.get(ref.id, ref.version)
        except NotFound:
            record = None
        if record is None or record.digest != ref.digest:
            return Subject(hosts=hosts, own=own)
        return Subject(ref.id, _category(record), hosts, own)

    async def of_run(self, caller: Caller, record: ExecutionRecord) -> Subject:
        """Return an execution: its plan, and whether the caller requested it."""
        return await self.of_plan(record.plan_digest, own=record.requested_by == caller.principal)

    def of_hosts(self, names: Iterable[str]) -> tuple[Host | None, ...]:
        """Return hosts by name."""
        return tuple(self.inventory.get(name) for name in names)

    def of_host(self, record: HostRecord) -> Subject:
        """Return a host by its row, joined or revoked."""
        return Subject(hosts=(described(record.name, record.labels),))

    async def of_schedule(self, caller: Caller, record: ScheduleRecord) -> Subject:
        """Return a schedule: its blueprint, the hosts that it was set for, and whether it runs as the caller."""
        about = await self.of_blueprint(record.blueprint)
        return replace(about, hosts=self.of_hosts(record.hosts), own=record.owner == caller.principal)

    async def sees_schedule(self, caller: Caller, permission: str, record: ScheduleRecord) -> bool:
        """Return whether a schedule belongs into a list for this caller."""
        return caller.unlimited(permission) or caller.may(permission, await self.of_schedule(caller, record))

    async def sees_run(self, caller: Caller, permission: str, record: ExecutionRecord) -> bool:
        """Return whether an execution belongs into a list for this caller."""
        return caller.unlimited(permission) or caller.may(permission, await self.of_run(caller, record))

    async def sees_blueprint(self, caller: Caller, permission: str, id: str, version: str) -> bool:
        """Return whether a stored blueprint belongs into a list for this caller."""
        return caller.unlimited(permission) or caller.may(permission, await self.of_blueprint(f"{id}@{version}"))

    def sees_host(self, caller: Caller, permission: str, record: HostRecord) -> bool:
        """Return whether a host belongs into a list for this caller."""
        return caller.unlimited(permission) or caller.may(permission, self.of_host(record))

    def _host(self, name: str, id: str) -> Host | None:
        host = self.inventory.get(name)
        # A name can pass to another machine: what ran on the one before says nothing of it.
        return host if host is not None and id in ("", host.id) else None


def described(name: str, labels: Mapping[str, Json]) -> Host:
    """Return a host as limits see it, by what people say of it."""
    texts = {key: str(value) for key, value in labels.items()}
    return Host(id="", name=name, labels=texts, environment=texts.get(ENVIRONMENT, ""))


def require(caller: Caller, operation: str, permission: str, subject: Subject, what: str) -> None:
    """Raise Denied unless the caller may do it to `subject`, which people call `what`."""
    if not caller.may(permission, subject):
        raise outside(caller, operation, permission, what)


def outside(caller: Caller, operation: str, permission: str, what: str) -> Denied:
    """Return the refusal of what lies outside of the caller's limits."""
    return Denied(
        f"{caller.principal} may not do `{operation}`" + (f" with {what}" if what else ""),
        fix=f"the permission `{permission}` that you hold is limited to other things: `pilotage whoami` shows to which",
    )


def _category(record: BlueprintRecord) -> str:
    return str(record.normalised.get("category", ""))


def _facts(content: Mapping[str, Any]) -> PlanFacts:
    ref = content["blueprint"]
    blueprint = BlueprintRef(ref["id"], ref["version"], ref["digest"])
    return PlanFacts(blueprint, _hosts(content.get("host_ids", {}), content.get("targets", ())))


def _hosts(ids: Mapping[str, str], targets: Iterable[str]) -> dict[str, str]:
    return {**dict.fromkeys(targets, ""), **ids}


async def _of_blueprint(subjects: Subjects, caller: Caller, request: Any) -> Subject:
    return await subjects.of_blueprint(request.blueprint)


async def _of_plan(subjects: Subjects, caller: Caller, request: Any) -> Subject:
    return await subjects.of_plan(request.digest)


async def _of_run(subjects: Subjects, caller: Caller, request: Any) -> Subject:
    return await subjects.of_run(caller, await subjects.store.executions.get(request.execution))


async def _of_notification(subjects: Subjects, caller: Caller, request: Any) -> Subject:
    delivery = await subjects.store.deliveries.get(request.notification)
    return await subjects.of_run(caller, await subjects.store.executions.get(delivery.notification.execution))


async def _of_approval(subjects: Subjects, caller: Caller, request: Any) -> Subject:
    asked = await subjects.store.approvals.get(request.approval)
    return await subjects.of_run(caller, await subjects.store.executions.get(asked.execution))


async def _of_host(subjects: Subjects, caller: Caller, request: Any) -> Subject:
    try:
        return subjects.of_host(await subjects.store.hosts.named(request.host))
    except NotFound:
        return Subject(hosts=(None,))


async def _of_principal(subjects: Subjects, caller: Caller, request: Any) -> Subject:
    return Subject(own=request.principal == caller.principal)


async def _of_token(subjects: Subjects, caller: Caller, request: Any) -> Subject:
    return Subject(own=(await subjects.store.access.token(request.token)).principal == caller.principal)


async def _of_schedule(subjects: Subjects, caller: Caller, request: Any) -> Subject:
    return await subjects.of_schedule(caller, await subjects.store.schedules.get(request.schedule))


async def _of_whole(subjects: Subjects, caller: Caller, request: Any) -> Subject:
    return Subject()


_FINDERS: Final[Mapping[About, Callable[[Subjects, Caller, Any], Awaitable[Subject]]]] = MappingProxyType(
    {
        About.WHOLE: _of_whole,
        About.BLUEPRINT: _of_blueprint,
        About.PLAN: _of_plan,
        About.RUN: _of_run,
        About.NOTIFICATION: _of_notification,
        About.APPROVAL: _of_approval,
        About.HOST: _of_host,
        About.PRINCIPAL: _of_principal,
        About.TOKEN: _of_token,
        About.SCHEDULE: _of_schedule,
    }
)
SELF_ASKED: Final = frozenset({About.SELF, About.MANY, About.FOUND})
"""What an operation is about that `of_request` knows nothing of: there the operation itself asks, or leaves out."""
