"""Step types of Acme for Pilotage."""

from pilotage_plugin_api import Register, hookimpl

from acme_pilotage.line import AcmeLine

PILOTAGE_API = (1, 2)  # the oldest and the newest plugin API that this works with


@hookimpl
def pilotage_register_step_types(register: Register) -> None:
    """Register what this plugin brings; only that: no files, no network."""
    register(AcmeLine())
