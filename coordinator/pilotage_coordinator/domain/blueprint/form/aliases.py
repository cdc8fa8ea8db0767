"""The fifteen classic step type names: each becomes a verb, chosen by `action`, with documented defaults.

docs/blueprints.md shows this table; a test keeps the two in step.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class Verb:
    """What one action means: a step type, and parameters that need not be written."""

    type: str
    defaults: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Alias:
    """One classic name: its actions; the first is the default."""

    actions: Mapping[str, Verb]
    reverse: str = ""
    """The default action among the actions of a rollback plan, where it is another one."""

    def default_action(self, in_rollback: bool) -> str:
        """Return the action meant when none is written."""
        return self.reverse if in_rollback and self.reverse else next(iter(self.actions))


_ROOTS: Final = "${{ get(host.vars, 'backup_roots', ['/srv']) }}"
_REPOSITORY: Final[Mapping[str, object]] = {
    "repository": "secret://backup/repository",
    "password": "secret://backup/password",
}
_URL: Final[Mapping[str, object]] = {"url": "http://${{ host.address }}/"}

_DATA: Final[Mapping[str, object]] = {"path": "${{ get(host.vars, 'snapshot_path', '/srv') }}"}

ALIASES: Final[Mapping[str, Alias]] = {
    "validation": Alias({"assert": Verb("validation.assert", {"that": "host.online"})}),
    "resource_allocation": Alias(
        {
            "allocate": Verb("resource.allocate", {"cpu_cores": 1, "memory_gb": 1, "disk_gb": 1}),
            "release": Verb("resource.release"),
        },
        reverse="release",
    ),
    "container_operations": Alias(
        {
            "create": Verb("container.create"),
            "start": Verb("container.start"),
            "stop": Verb("container.stop"),
            "restart": Verb("container.restart"),
            "remove": Verb("container.remove"),
            "pull": Verb("container.pull"),
            "health": Verb("container.health"),
        },
        reverse="remove",
    ),
    "service_deployment": Alias({"deploy": Verb("compose.up"), "remove": Verb("compose.down")}, reverse="remove"),
    "network_configuration": Alias(
        {"create": Verb("network.create"), "remove": Verb("network.remove")}, reverse="remove"
    ),
    "health_validation": Alias(
        {"http": Verb("http.check", _URL), "container": Verb("container.health"), "wait": Verb("wait.until")}
    ),
    "backup": Alias(
        {
            "create": Verb("backup.create", {**_REPOSITORY, "paths": _ROOTS}),
            "init": Verb("backup.init", _REPOSITORY),
            "database": Verb("backup.database", _REPOSITORY),
            "verify": Verb("backup.verify", _REPOSITORY),
            "list": Verb("backup.list", _REPOSITORY),
            "prune": Verb("backup.prune", {**_REPOSITORY, "keep": {"daily": 7, "weekly": 4, "monthly": 12}}),
        }
    ),
    "restore": Alias(
        {
            "restore": Verb("backup.restore", {**_REPOSITORY, "target": "/var/lib/pilotage/restored"}),
            "database": Verb("restore.database", _REPOSITORY),
            "drill": Verb("restore.drill", _REPOSITORY),
        }
    ),
    "snapshot": Alias(
        {
            "create": Verb("snapshot.create", _DATA),
            "restore": Verb("snapshot.restore", _DATA),
            "remove": Verb("snapshot.remove", _DATA),
            "list": Verb("snapshot.list", _DATA),
        },
        reverse="restore",
    ),
    "upgrade": Alias({"container": Verb("container.upgrade"), "package": Verb("package.upgrade")}),
    "testing": Alias(
        {"http": Verb("http.check", _URL), "measure": Verb("http.measure", _URL), "command": Verb("command.run")}
    ),
    "configuration": Alias({"write": Verb("file.write"), "template": Verb("file.template")}),
    "discovery": Alias(
        {
            "data": Verb("discovery.data", {"roots": _ROOTS}),
            "containers": Verb("discovery.containers"),
            "volumes": Verb("discovery.volumes"),
            "compose": Verb("compose.list"),
            "packages": Verb("discovery.packages"),
            "disks": Verb("discovery.disks"),
            "snapshots": Verb("backup.list", _REPOSITORY),
        }
    ),
    "transfer": Alias(
        {
            "send": Verb("transfer.send", _REPOSITORY),
            "receive": Verb("transfer.receive", _REPOSITORY),
            "copy": Verb("file.copy"),
        }
    ),
    "maintenance": Alias(
        {"command": Verb("command.run"), "reboot": Verb("host.reboot"), "prune": Verb("backup.prune", _REPOSITORY)}
    ),
}
