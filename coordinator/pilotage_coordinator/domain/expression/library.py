"""The CEL library, without its own command line, which would import prompt_toolkit: half of a coordinator's start."""

from types import ModuleType

from pilotage_proto.lean import standing_for

with standing_for("cel.cli", ModuleType("cel.cli")):
    import cel

__all__ = ["cel"]
