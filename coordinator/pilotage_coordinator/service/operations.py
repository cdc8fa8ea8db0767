"""The authorization matrix: one row for everything that any face can do.

An operation without a row is denied at run time and fails the tests.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from pilotage_coordinator.domain.access.permission import DECIDE, SELF


class OperationEffect(StrEnum):
    """Whether an operation can change anything."""

    READ = "read"
    WRITE = "write"


class About(StrEnum):
    """What an operation is about, and so which limits of a caller's grants are asked (`service.subjects`)."""

    WHOLE = "whole"
    """The coordinator as a whole, or what has no property that a grant could be limited by: only a grant without any
    limit gives it. What a row says nothing of is this."""
    SELF = "self"
    """The caller itself, or nothing but what the request brings: a grant with limits gives it too."""
    BLUEPRINT = "blueprint"
    """The stored blueprint that `request.blueprint` names."""
    PLAN = "plan"
    """The plan that `request.digest` names."""
    RUN = "run"
    """The execution that `request.execution` names."""
    NOTIFICATION = "notification"
    """The execution behind `request.notification`."""
    APPROVAL = "approval"
    """The execution behind `request.approval`."""
    HOST = "host"
    """The host that `request.host` names."""
    PRINCIPAL = "principal"
    """The principal that `request.principal` names: one's own or another."""
    TOKEN = "token"  # noqa: S105
    """The API token that `request.token` names: one's own or another's."""
    SCHEDULE = "schedule"
    """The schedule that `request.schedule` names."""
    MANY = "many"
    """A list: the operation leaves out what the caller may not see."""
    FOUND = "found"
    """What the operation finds out first: it asks itself (`service.subjects.require`)."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One row: `permission` is what a caller must hold for what it is `about`; an audited operation leaves a record
    before it takes effect."""

    name: str
    permission: str
    effect: OperationEffect
    audited: bool
    about: About = About.WHOLE


def _read(name: str, permission: str, about: About = About.WHOLE) -> Operation:
    return Operation(name, permission, OperationEffect.READ, audited=False, about=about)


def _write(name: str, permission: str, about: About = About.WHOLE) -> Operation:
    return Operation(name, permission, OperationEffect.WRITE, audited=True, about=about)


_ROWS: Final = (
    _read("blueprint.list", "blueprint.read", About.MANY),
    _read("blueprint.show", "blueprint.read", About.BLUEPRINT),
    _read("blueprint.validate", "blueprint.read", About.SELF),
    _write("blueprint.add", "blueprint.write", About.FOUND),
    # Hosts run a step that only reads, as for a plan, with secrets if the blueprint says so.
    _write("blueprint.choices", "plan.make", About.FOUND),
    # A plan changes no host, and yet it is stored, asks hosts for previews and may be what somebody approves.
    _write("plan.make", "plan.make", About.FOUND),
    _read("plan.show", "plan.read", About.PLAN),
    _write("run.start", "run.start", About.FOUND),
    _write("exec", "run.start", About.FOUND),
    _read("run.list", "run.read", About.MANY),
    _read("run.show", "run.read", About.RUN),
    _read("run.watch", "run.read", About.RUN),
    _read("run.replay", "run.read", About.RUN),
    _write("run.close", "run.control", About.RUN),
    _write("run.pause", "run.control", About.RUN),
    _write("run.resume", "run.control", About.RUN),
    _write("run.cancel", "run.control", About.RUN),
    _write("run.retry", "run.control", About.RUN),
    _write("run.resolve", "run.resolve", About.RUN),
    _write("run.release", "run.release", About.RUN),
    _read("approval.list", "approval.read", About.MANY),
    _read("approval.show", "approval.read", About.APPROVAL),
    _write("approval.approve", DECIDE, About.APPROVAL),
    _write("approval.reject", DECIDE, About.APPROVAL),
    _write("approval.delegate", DECIDE, About.SELF),
    _read("approval.delegations", "approval.read", About.SELF),
    _write("approval.undelegate", DECIDE, About.SELF),
    _write("schedule.create", "schedule.write", About.FOUND),
    _write("schedule.update", "schedule.write", About.SCHEDULE),
    _write("schedule.enable", "schedule.write", About.SCHEDULE),
    _write("schedule.pause", "schedule.write", About.SCHEDULE),
    _write("schedule.resume", "schedule.write", About.SCHEDULE),
    _write("schedule.cancel", "schedule.write", About.SCHEDULE),
    # With the rights of whoever asks, and as their execution.
    _write("schedule.run", "run.start", About.SCHEDULE),
    _read("schedule.list", "schedule.read", About.MANY),
    _read("schedule.show", "schedule.read", About.SCHEDULE),
    _read("schedule.firings", "schedule.read", About.SCHEDULE),
    _read("schedule.upcoming", "schedule.read", About.MANY),
    _read("schedule.explain", "schedule.read", About.SELF),
    _read("logs.read", "log.read", About.RUN),
    _read("logs.follow", "log.read", About.RUN),
    _write("host.token", "host.enrol", About.FOUND),
    _read("host.list", "host.read", About.MANY),
    _read("host.show", "host.read", About.HOST),
    _write("host.set", "host.write", About.FOUND),
    _write("host.release", "host.release", About.HOST),
    _write("host.revoke", "host.revoke", About.HOST),
    _write("secret.set", "secret.write"),
    _write("secret.grant", "secret.write"),
    _read("secret.list", "secret.read"),
    # It changes nothing, and yet it takes every secret along.
    _write("secret.export", "secret.export"),
    _write("secret.rm", "secret.write"),
    _read("notification.list", "notification.read", About.MANY),
    _write("notification.retry", "notification.write", About.NOTIFICATION),
    _read("audit.search", "audit.read"),
    _read("audit.verify", "audit.read"),
    _read("audit.export", "audit.export"),
    _read("whoami", SELF, About.SELF),
    _write("principal.add", "principal.write"),
    _read("principal.list", "principal.read", About.MANY),
    _read("principal.show", "principal.read", About.PRINCIPAL),
    _write("principal.disable", "principal.write"),
    _write("principal.enable", "principal.write"),
    _write("principal.role", "principal.write"),
    _write("principal.keys", "principal.write"),
    _read("role.list", "role.read", About.SELF),
    _read("role.show", "role.read", About.SELF),
    _write("role.set", "role.write"),
    _write("role.rm", "role.write"),
    _write("token.create", "token.write", About.PRINCIPAL),
    _read("token.list", "token.read", About.MANY),
    _write("token.rotate", "token.write", About.TOKEN),
    _write("token.revoke", "token.write", About.TOKEN),
    _write("backup.create", "coordinator.backup"),
    _read("recovery.show", "coordinator.read"),
    _write("recovery.sign", "coordinator.recover"),
    _read("policy.show", "policy.read"),
    _read("policy.history", "policy.read"),
    _write("policy.set", "policy.write"),
    _write("policy.rollback", "policy.write"),
    _read("policy.test", "policy.read"),
    _read("policy.explain", "policy.read"),
    # It changes nothing, and yet that somebody looked, and what they saw, is worth knowing later.
    _write("compliance.check", "compliance.read"),
    _read("compliance.report", "compliance.read"),
    _read("doctor", "coordinator.read"),
    _read("coordinator.status", "coordinator.read"),
    _read("coordinator.authority", SELF, About.SELF),
    _write("coordinator.stop", "coordinator.control"),
)

OPERATIONS: Final[Mapping[str, Operation]] = MappingProxyType({row.name: row for row in _ROWS})

PERMISSIONS: Final = tuple(sorted({row.permission for row in _ROWS if row.permission != SELF}))
"""All that a role can give."""
