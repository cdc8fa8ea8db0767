"""The host as a whole: the step types of the plugin `host`."""

from typing import Final

from pilotage_plugins.host.reboot import HostReboot

HOST_STEP_TYPES: Final = (HostReboot,)
