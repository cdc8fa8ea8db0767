"""`command.run`: one program with its arguments."""

import shlex
from typing import Final

from pilotage_plugin_api import Effect, Preview, StepContext, StepType
from pydantic import Field

from pilotage_plugins.command.program import ProgramOutputs, ProgramParams, preview_program, run_guarded

SHELL: Final = "/bin/sh"


class CommandRunParams(ProgramParams):
    """What to run. The argument list is handed over as it is: no shell reads it, so nothing in it is expanded."""

    argv: tuple[str, ...] = Field(min_length=1, description="The program and its arguments, one list item each")
    shell: bool = Field(
        False,
        description="Give the first item of argv to /bin/sh as a command line; the others are its $1, $2 and so on,"
        " which is how values get in without being read as code",
    )


class CommandRunOutputs(ProgramOutputs):
    """How the program ended. The streams are their last part, about 12 KiB each.

    `ran` is false when a guard said that there is nothing to do; `exit_code` is null then.
    """


class CommandRun(StepType[CommandRunParams, CommandRunOutputs]):
    """Run one program and wait for its end.

    It starts at most once, because nobody but the author knows what it does; he may declare `effect: read` or
    `effect: idempotent`. `creates` and `removes` say when there is nothing left to do. Processes that the program
    leaves behind in its session are killed when it ends: start services with the host's service manager.
    """

    name = "command.run"
    effect = Effect.ONCE
    author_effects = frozenset({Effect.READ, Effect.IDEMPOTENT})
    Params = CommandRunParams
    Outputs = CommandRunOutputs

    async def preview(self, ctx: StepContext, params: CommandRunParams) -> Preview:
        """Show the command line, or why it would not run; what it changes is not known."""
        return await preview_program(params, shlex.join(_argv(params)))

    async def run(self, ctx: StepContext, params: CommandRunParams) -> CommandRunOutputs:
        """Run it; an exit code that is not expected is a failure of kind step that ends with what it printed."""
        name = "the command line" if params.shell else params.argv[0]
        outputs = await run_guarded(ctx, params, _argv(params), name)
        return CommandRunOutputs.model_validate(outputs.model_dump())


def _argv(params: CommandRunParams) -> tuple[str, ...]:
    if not params.shell:
        return params.argv
    line, *values = params.argv
    return (SHELL, "-c", line, "sh", *values)
