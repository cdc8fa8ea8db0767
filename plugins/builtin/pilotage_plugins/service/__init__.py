"""Services of the host, as systemd runs them: the step types of the plugin `service`."""

from typing import Final

from pilotage_plugins.service.enablement import ServiceDisable, ServiceEnable
from pilotage_plugins.service.lifecycle import ServiceReload, ServiceRestart, ServiceStart, ServiceStop
from pilotage_plugins.service.status import ServiceStatus

SERVICE_STEP_TYPES: Final = (
    ServiceStart,
    ServiceStop,
    ServiceRestart,
    ServiceReload,
    ServiceEnable,
    ServiceDisable,
    ServiceStatus,
)
