"""The program `docker compose`: one call at a time, nothing private in its arguments."""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pilotage_plugin_api import (
    Availability,
    InfrastructureFailed,
    ProgramResult,
    Refused,
    StepContext,
    StepError,
    StepFailed,
    Stream,
    TargetFailed,
)

from pilotage_plugins.command.outputs import text_tail
from pilotage_plugins.container.connection import docker_environment, engine_available
from pilotage_plugins.container.errors import failure_in_words

OLDEST_COMPOSE: Final = (2, 17)
RESOLVED_LIMIT: Final = 4 * 1024 * 1024
_VERSION: Final = re.compile(r"\bv?(\d+)\.(\d+)\.(\d+)")
_FILE_ERRORS: Final = (14, 15)
"""The exit codes of Compose for a file that is not there, and for one that it cannot read or does not accept."""


@dataclass(frozen=True, slots=True)
class Compose:
    """Compose for one project. `files` are paths; none of them: each call gives the file as text."""

    ctx: StepContext
    socket: str
    directory: str
    project: str | None
    files: Sequence[str] = ()
    variable_files: Sequence[str] = ()
    profiles: Sequence[str] = ()

    def arguments(self, command: Sequence[str], *, by_text: bool) -> list[str]:
        """Return the whole argument list of a call."""
        given = ["--file=-"] if by_text else [f"--file={path}" for path in self.files]
        return [
            "docker", "compose", "--ansi=never", "--progress=plain",
            *([] if self.project is None else [f"--project-name={self.project}"]),
            f"--project-directory={self.directory}",
            *given,
            *(f"--env-file={path}" for path in self.variable_files),
            *(f"--profile={name}" for name in self.profiles),
            *command,
        ]  # fmt: skip

    async def read(self, what: str, *command: str, env: Mapping[str, str], text: str | None = None) -> str:
        """Return what a command that only reads prints; warnings go to the log."""
        # Whole configurations are longer than what is kept of a program's output.
        handle = os.memfd_create("pilotage-compose", os.MFD_CLOEXEC)
        try:
            result = await self._call(command, env, text, stdout_to=handle)
            if result.exit_code:
                raise _failure(result, what)
            size = os.fstat(handle).st_size
            if size > RESOLVED_LIMIT:
                raise Refused(f"{what}: Compose printed {size} bytes, more than {RESOLVED_LIMIT}")
            return os.pread(handle, size, 0).decode("utf-8", "replace")
        finally:
            os.close(handle)

    async def change(self, what: str, *command: str, env: Mapping[str, str], text: str | None = None) -> None:
        """Run a command that changes something; its progress goes to the log."""
        result = await self._call(command, env, text, on_stderr=self._progress)
        if result.exit_code:
            raise _failure(result, what)

    def _progress(self, line: bytes) -> None:
        said = line.decode("utf-8", "backslashreplace").rstrip()
        self.ctx.log(said, Stream.STDERR)
        self.ctx.progress(None, said.strip()[:200])

    async def _call(
        self,
        command: Sequence[str],
        env: Mapping[str, str],
        text: str | None,
        *,
        stdout_to: int | None = None,
        on_stderr: Callable[[bytes], None] | None = None,
    ) -> ProgramResult:
        by_text = text is not None
        return await self.ctx.program(
            self.arguments(command, by_text=by_text),
            env={**env, **await docker_environment(self.socket)},
            stdin=None if text is None else text.encode(),
            stdout_to=stdout_to,
            on_stderr=on_stderr,
        )


async def compose_available(ctx: StepContext) -> Availability:
    """Say whether the engine answers and docker has Compose, version 2."""
    engine = await engine_available(ctx)
    if not engine.available:
        return engine
    try:
        told = await ctx.program(["docker", "compose", "version"], env=await docker_environment("/var/run/docker.sock"))
    except TargetFailed:
        return Availability(available=False, reason="the program docker is not installed: apt-get install docker-cli")
    found = _VERSION.search(told.stdout.decode("utf-8", "replace"))
    if told.exit_code or not found:
        return Availability(
            available=False,
            reason="docker has no plugin compose: install docker-compose-plugin, or docker-compose of Debian 13",
        )
    if (int(found[1]), int(found[2])) < OLDEST_COMPOSE:
        wanted = ".".join(map(str, OLDEST_COMPOSE))
        return Availability(available=False, reason=f"Compose {found[0]} is too old: {wanted} or newer is needed")
    return Availability(available=True, details={"compose": found[0].removeprefix("v")})


def _failure(result: ProgramResult, what: str) -> StepError:
    """Return the error that the end of a call means."""
    said = " ".join(text_tail(result.stderr or result.stdout, 2048).split())
    if result.exit_code in _FILE_ERRORS:
        return Refused(f"{what}: the compose file is not accepted: {said}")
    if "unknown command" in said or "is not a docker command" in said:
        return TargetFailed(f"{what}: docker has no plugin compose on this host: {said}")
    if "Cannot connect to the Docker daemon" in said:
        return InfrastructureFailed(f"{what}: the Docker Engine went away. Compose said: {said}")
    known = failure_in_words(said, what)
    return known or StepFailed(f"{what}: docker compose ended with {result.ending}: {said}")
