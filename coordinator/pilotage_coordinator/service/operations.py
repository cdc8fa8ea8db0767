"""The authorization matrix: one row for everything that any face can do.

An operation without a row is denied at run time and fails the tests.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class OperationEffect(StrEnum):
    """Whether an operation can change anything."""

    READ = "read"
    WRITE = "write"


@dataclass(frozen=True, slots=True)
class Operation:
    """One row: `permission` is what a caller must hold; an audited operation leaves a record before it takes effect."""

    name: str
    permission: str
    effect: OperationEffect
    audited: bool


def _read(name: str, permission: str) -> Operation:
    return Operation(name, permission, OperationEffect.READ, audited=False)


def _write(name: str, permission: str) -> Operation:
    return Operation(name, permission, OperationEffect.WRITE, audited=True)


_ROWS: Final = (
    _read("blueprint.list", "blueprint.read"),
    _read("blueprint.show", "blueprint.read"),
    _read("blueprint.validate", "blueprint.read"),
    _write("blueprint.add", "blueprint.write"),
    # Hosts run a step that only reads, as for a plan, with secrets if the blueprint says so.
    _write("blueprint.choices", "plan.make"),
    # A plan changes no host, and yet it is stored, asks hosts for previews and may be what somebody approves.
    _write("plan.make", "plan.make"),
    _read("plan.show", "plan.read"),
    _write("run.start", "run.start"),
    _write("exec", "run.start"),
    _read("run.list", "run.read"),
    _read("run.show", "run.read"),
    _read("run.watch", "run.read"),
    _read("run.replay", "run.read"),
    _write("run.pause", "run.control"),
    _write("run.resume", "run.control"),
    _write("run.cancel", "run.control"),
    _write("run.retry", "run.control"),
    _write("run.resolve", "run.resolve"),
    _write("run.release", "run.release"),
    _read("logs.read", "log.read"),
    _read("logs.follow", "log.read"),
    _write("host.token", "host.enrol"),
    _read("host.list", "host.read"),
    _read("host.show", "host.read"),
    _write("host.set", "host.write"),
    _write("host.release", "host.release"),
    _write("host.revoke", "host.revoke"),
    _write("secret.set", "secret.write"),
    _read("secret.list", "secret.read"),
    _write("secret.rm", "secret.write"),
    _read("notification.list", "notification.read"),
    _write("notification.retry", "notification.write"),
    _read("audit.search", "audit.read"),
    _read("audit.verify", "audit.read"),
    _read("audit.export", "audit.export"),
    _read("doctor", "coordinator.read"),
    _read("coordinator.status", "coordinator.read"),
    _write("coordinator.stop", "coordinator.control"),
)

OPERATIONS: Final[Mapping[str, Operation]] = MappingProxyType({row.name: row for row in _ROWS})
