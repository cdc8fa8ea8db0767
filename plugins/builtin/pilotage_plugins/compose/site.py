"""One project on one engine, opened for the length of a step: the engine, the program, and the variables."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pilotage_plugin_api import StepContext, TargetFailed

from pilotage_plugins.command.program import environment_of
from pilotage_plugins.compose.definition import Definition, resolve
from pilotage_plugins.compose.program import Compose
from pilotage_plugins.compose.project import ProjectParams
from pilotage_plugins.container.connection import open_engine, socket_of

if TYPE_CHECKING:
    from pilotage_plugins.container.engine import Engine


@dataclass(frozen=True, slots=True)
class Site:
    """A project that was read: `wanted` is what it is to be, `env` has the contents of secrets in it."""

    ctx: StepContext
    engine: "Engine"
    compose: Compose
    params: ProjectParams
    wanted: Definition
    env: Mapping[str, str]

    def must_be(self, sha256: str | None) -> None:
        """Raise TargetFailed when the files come to another project than the one of this digest; None takes any."""
        if sha256 is not None and sha256 != self.wanted.sha256:
            raise TargetFailed(
                f"the files of {self.wanted.project} in {self.wanted.directory} are not what was planned: they come to"
                f" {self.wanted.sha256[:12]}, not to {sha256[:12]}. Nothing was changed: make the plan again"
            )

    def at_leisure(self) -> "Site":
        """Return the site for a way back, which neither a cancellation nor a deadline that has passed may stop."""
        calm = replace(self.ctx, cancel=asyncio.Event(), deadline=None)
        return replace(self, ctx=calm, compose=replace(self.compose, ctx=calm))

    async def change(self, what: str, *command: str) -> None:
        """Run a command of Compose on the project as it is to be."""
        await self.compose.change(what, *command, env=self.env, text=self.params.source)


@asynccontextmanager
async def open_site(ctx: StepContext, params: ProjectParams) -> AsyncIterator[Site]:
    """Read the project and connect to the engine; raises the StepError that says why that cannot be done."""
    files = await asyncio.to_thread(params.compose_files)
    variable_files = await asyncio.to_thread(params.variable_files)
    env = await environment_of(ctx, params.env)
    socket = socket_of(params.engine, ctx)
    compose = Compose(ctx, socket, params.directory, params.project, files, variable_files, params.profiles)
    async with open_engine(ctx, params) as engine:
        wanted, named = await resolve(compose, params.env, env, params.source)
        yield Site(ctx, engine, named, params, wanted, env)
