"""The hooks that a plugin implements. They only register objects; behaviour lives in classes.

A plugin is a module or object named by an entry point of the group `pilotage.plugins`:

    [project.entry-points."pilotage.plugins"]
    acme = "acme_pilotage"

and in `acme_pilotage/__init__.py`:

    @hookimpl
    def pilotage_register_step_types(register: Register) -> None:
        register(Greet())
"""

from collections.abc import Callable
from typing import Any, Final

import pluggy

from pilotage_plugin_api.step_type import StepType

PROJECT: Final = "pilotage"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks a function of a plugin as the implementation of a hook."""

Register = Callable[[StepType[Any, Any]], None]
"""What a hook calls once for each object it brings."""


class PilotageHooks:
    """Every hook there is. A hook must return at once: no network, no files, no programs."""

    @hookspec
    def pilotage_register_step_types(self, register: Register) -> None:
        """Call `register(step_type)` once for each step type that the plugin brings.

        An object that breaks the contract (see `catalogue.check_step_type`) raises `RegistrationRefused` out of
        `register`, and the whole plugin is set aside with that text; the others still load.
        """
