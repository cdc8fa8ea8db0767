"""`command.run`: one program with its arguments."""

import pwd
import shlex
from contextlib import AsyncExitStack
from os import getuid
from pathlib import Path
from typing import Any

from pilotage_plugin_api import (
    Action,
    Change,
    Effect,
    Preview,
    SecretRef,
    StepContext,
    StepFailed,
    StepOutputs,
    StepParams,
    StepType,
)
from pydantic import Field, JsonValue

from pilotage_plugins.command.outputs import Parse, parse_stdout, text_tail


class CommandRunParams(StepParams):
    """What to run. The argument list is handed over as it is: no shell reads it, so nothing in it is expanded."""

    argv: tuple[str, ...] = Field(min_length=1, description="The program and its arguments, one list item each")
    cwd: Path | None = Field(None, description="Folder to run in (a scratch folder of its own)")
    env: dict[str, str] = Field(default_factory=dict, description="Added to a plain environment; PATH is set")
    secret_files: dict[str, SecretRef] = Field(
        default_factory=dict, description="Variables that get the path of a file holding the secret, in memory only"
    )
    stdin: str | None = Field(None, description="Text for standard input (none: reading it ends at once)")
    expect: tuple[int, ...] = Field((0,), min_length=1, description="Exit codes that count as success")
    parse: Parse = Field(Parse.NONE, description="Read standard output as JSON or as lines into the output `parsed`")


class CommandRunOutputs(StepOutputs):
    """How the program ended. The streams are their last part, about 12 KiB each."""

    exit_code: int
    stdout: str
    stderr: str
    parsed: JsonValue = None
    seconds: float


class CommandRun(StepType[CommandRunParams, CommandRunOutputs]):
    """Run one program and wait for its end.

    It starts at most once, because nobody but the author knows what it does; he may declare `effect: read` or
    `effect: idempotent`. Processes that the program leaves behind in its session are killed when it ends: start
    services with the host's service manager.
    """

    name = "command.run"
    effect = Effect.ONCE
    author_effects = frozenset({Effect.READ, Effect.IDEMPOTENT})
    Params = CommandRunParams
    Outputs = CommandRunOutputs

    async def preview(self, ctx: StepContext, params: CommandRunParams) -> Preview:
        """Show the command line; what it changes is not known."""
        line = shlex.join(params.argv)
        return Preview(
            changes=(Change(action=Action.RUN, subject=line[:4096], note=f"in {params.cwd}" if params.cwd else ""),),
            complete=False,
            note="what the program changes is known only to its author",
        )

    async def run(self, ctx: StepContext, params: CommandRunParams) -> CommandRunOutputs:
        """Run it; an exit code that is not expected is a failure of kind step that ends with what it printed."""
        async with AsyncExitStack() as stack:
            files = {
                name: await stack.enter_async_context(ctx.secret_file(ref)) for name, ref in params.secret_files.items()
            }
            result = await ctx.program(
                params.argv,
                cwd=params.cwd,
                env={**_home(), **params.env, **{name: file.path for name, file in files.items()}},
                stdin=None if params.stdin is None else params.stdin.encode(),
                pass_fds=[file.fd for file in files.values()],
            )
        program = params.argv[0]
        if result.exit_code not in params.expect:
            expected = " or ".join(map(str, params.expect))
            said = text_tail(result.stderr or result.stdout, 2048).strip()
            raise StepFailed(f"{program} ended with {result.ending}, expected {expected}; its last words: {said}")
        parsed: Any = parse_stdout(result, params.parse, program)
        return CommandRunOutputs(
            exit_code=result.exit_code,
            stdout=text_tail(result.stdout),
            stderr=text_tail(result.stderr),
            parsed=parsed,
            seconds=round(result.seconds, 3),
        )


def _home() -> dict[str, str]:
    """Name the home of the user that we run as: many programs refuse to work without."""
    try:
        return {"HOME": pwd.getpwuid(getuid()).pw_dir}
    except KeyError:
        return {}
