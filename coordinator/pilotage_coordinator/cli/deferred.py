"""Commands whose modules are imported only when they run: the one place of late imports in the command line.

`pilotage --help` and completion of the first word then need neither the HTTP client nor the renderers, which take
longer to import than everything else together.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from typing import Any, ClassVar

import typer.main
from typer import Context
from typer.core import TyperCommand, TyperGroup

from pilotage_coordinator.cli.examples import epilog


@dataclass(frozen=True, slots=True)
class Place:
    """Where a command is: a module of `cli.commands` with a Typer application `app`, and what the list says of it."""

    module: str
    help: str
    within: str = ""
    """The group that it belongs to."""


class DeferredGroup(TyperGroup):
    """A group that knows its commands by name and help, and imports one when it is called."""

    places: ClassVar[Mapping[str, Place]] = {}

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names in the order of the table, then those that are defined beside it."""
        return [*self.places, *super().list_commands(ctx)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a stand-in that imports the command when it gets arguments."""
        place = self.places.get(cmd_name)
        if place is None:
            return super().get_command(ctx, cmd_name)
        if ctx.resilient_parsing:
            return load(cmd_name, place)
        return _StandIn(cmd_name, place)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Resolve a name; a wrong one is refused with the nearest right one."""
        names = self.list_commands(ctx)
        if args and args[0] not in names and not args[0].startswith("-"):
            near = get_close_matches(args[0], names, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            ctx.fail(f"No such command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)


class _StandIn(TyperCommand):
    def __init__(self, name: str, place: Place) -> None:
        super().__init__(name, help=place.help)
        self._place = place

    def make_context(self, info_name: Any, args: list[str], parent: Any = None, **extra: Any) -> Context:
        real = load(self.name or "", self._place)
        context: Context = real.make_context(info_name, args, parent, **extra)
        return context


def load(name: str, place: Place) -> Any:
    """Import a command's module and return the command."""
    module = import_module(f"pilotage_coordinator.cli.commands.{place.module}")
    command: Any = typer.main.get_command(module.app)
    command.name = name
    command.epilog = epilog(f"{place.within} {name}".strip())
    for inner, each in getattr(command, "commands", {}).items():
        each.epilog = epilog(f"{name} {inner}")
    return command
