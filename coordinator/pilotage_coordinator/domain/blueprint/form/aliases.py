"""The fifteen classic step type names: each becomes a verb, chosen by `action`, with documented defaults.

docs/blueprints.md shows this table; a test keeps the two in step.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class Alias:
    """One classic name: `action` to verb; the first action is the default."""

    verbs: Mapping[str, str]
    defaults: Mapping[str, object] = field(default_factory=dict)
    """Parameters of the default action that a blueprint need not write."""
    reverse: str = ""
    """The default action among the actions of a rollback plan, where it is another one."""

    def default_action(self, in_rollback: bool) -> str:
        """Return the action meant when none is written."""
        return self.reverse if in_rollback and self.reverse else next(iter(self.verbs))


ALIASES: Final[Mapping[str, Alias]] = {
    "validation": Alias({"assert": "validation.assert"}, {"that": "host.online"}),
    "resource_allocation": Alias({"allocate": "resource.allocate", "release": "resource.release"}, reverse="release"),
    "container_operations": Alias(
        {
            "create": "container.create",
            "start": "container.start",
            "stop": "container.stop",
            "restart": "container.restart",
            "remove": "container.remove",
            "pull": "container.pull",
            "health": "container.health",
        },
        reverse="remove",
    ),
    "service_deployment": Alias({"deploy": "compose.up", "remove": "compose.down"}, reverse="remove"),
    "network_configuration": Alias({"create": "network.create", "remove": "network.remove"}, reverse="remove"),
    "health_validation": Alias({"http": "http.check", "container": "container.health", "wait": "wait.until"}),
    "backup": Alias(
        {
            "create": "backup.create",
            "init": "backup.init",
            "database": "backup.database",
            "verify": "backup.verify",
            "list": "backup.list",
            "prune": "backup.prune",
        }
    ),
    "restore": Alias({"restore": "backup.restore", "drill": "restore.drill"}),
    "snapshot": Alias(
        {"create": "snapshot.create", "restore": "snapshot.restore", "remove": "snapshot.remove"},
        reverse="restore",
    ),
    "upgrade": Alias({"container": "container.upgrade", "package": "package.upgrade"}),
    "testing": Alias({"http": "http.check", "measure": "http.measure", "command": "command.run"}),
    "configuration": Alias({"write": "file.write", "template": "file.template"}),
    "discovery": Alias({"data": "discovery.data", "snapshots": "backup.list"}, {"kinds": ["paths", "databases"]}),
    "transfer": Alias({"copy": "file.copy"}),
    "maintenance": Alias({"command": "command.run", "reboot": "host.reboot", "prune": "backup.prune"}),
}
