"""The built-in plugins, registered through the same door as anybody's (entry point group `pilotage.plugins`)."""

from typing import Final

from pilotage_plugin_api import Register, hookimpl

from pilotage_plugins.ansible.playbook import AnsiblePlaybook
from pilotage_plugins.backup import BACKUP_STEP_TYPES
from pilotage_plugins.command.run import CommandRun
from pilotage_plugins.compose import COMPOSE_STEP_TYPES
from pilotage_plugins.container import CONTAINER_STEP_TYPES
from pilotage_plugins.discovery import DISCOVERY_STEP_TYPES
from pilotage_plugins.dummy import DUMMY_STEP_TYPES
from pilotage_plugins.file import FILE_STEP_TYPES
from pilotage_plugins.host import HOST_STEP_TYPES
from pilotage_plugins.http import HTTP_STEP_TYPES
from pilotage_plugins.metric import METRIC_STEP_TYPES
from pilotage_plugins.network.tcp import TcpCheck
from pilotage_plugins.package import PACKAGE_STEP_TYPES
from pilotage_plugins.resource import RESOURCE_STEP_TYPES
from pilotage_plugins.script.run import ScriptRun
from pilotage_plugins.service import SERVICE_STEP_TYPES
from pilotage_plugins.snapshot import SNAPSHOT_STEP_TYPES
from pilotage_plugins.transfer import TRANSFER_STEP_TYPES
from pilotage_plugins.wait.until import WaitUntil

PILOTAGE_API: Final = (1, 2)


@hookimpl
def pilotage_register_step_types(register: Register) -> None:
    """Register every built-in step type."""
    for step_type in (
        CommandRun,
        ScriptRun,
        AnsiblePlaybook,
        *FILE_STEP_TYPES,
        *HTTP_STEP_TYPES,
        *METRIC_STEP_TYPES,
        TcpCheck,
        *SERVICE_STEP_TYPES,
        *PACKAGE_STEP_TYPES,
        *HOST_STEP_TYPES,
        WaitUntil,
        *DISCOVERY_STEP_TYPES,
        *BACKUP_STEP_TYPES,
        *CONTAINER_STEP_TYPES,
        *SNAPSHOT_STEP_TYPES,
        *RESOURCE_STEP_TYPES,
        *COMPOSE_STEP_TYPES,
        *TRANSFER_STEP_TYPES,
        *DUMMY_STEP_TYPES,
    ):
        register(step_type())
