"""`container.exec`: one program in a running container."""

from collections.abc import Callable

from pilotage_plugin_api import (
    Action,
    Availability,
    Change,
    Effect,
    Preview,
    StepContext,
    StepFailed,
    StepOutputs,
    StepType,
    Stream,
)
from pilotage_plugin_api.output import LineCutter
from pydantic import Field

from pilotage_plugins.command.outputs import text_tail
from pilotage_plugins.container.connection import EngineParams, engine_available, open_engine
from pilotage_plugins.container.naming import ContainerName

LINE_LIMIT = 16 * 1024


class ExecParams(EngineParams):
    """What to run where. The argument list is handed over as it is: no shell reads it."""

    container: ContainerName = Field(description="Name or id")
    argv: tuple[str, ...] = Field(min_length=1, description="The program and its arguments, one list item each")
    user: str = Field("", max_length=255, description="User, or user:group (the container's)")
    cwd: str | None = Field(None, max_length=4000, description="Folder to run in (the container's)")
    env: dict[str, str] = Field(default_factory=dict, description="Added to the container's; no secrets: it is shown")
    expect: tuple[int, ...] = Field((0,), min_length=1, description="Exit codes that count as success")


class ExecOutputs(StepOutputs):
    """How the program ended. The streams are their last part, about 12 KiB each, written by a stranger."""

    exit_code: int
    stdout: str
    stderr: str
    seconds: float


class ContainerExec(StepType[ExecParams, ExecOutputs]):
    """Run one program in a running container and wait for its end.

    It starts at most once, because nobody but the author knows what it does; he may declare `effect: read` or
    `effect: idempotent`. Docker cannot stop a program that runs in a container: when the step is cancelled or too
    slow, it goes on there until it ends, and the log says so.
    """

    name = "container.exec"
    effect = Effect.ONCE
    author_effects = frozenset({Effect.READ, Effect.IDEMPOTENT})
    Params = ExecParams
    Outputs = ExecOutputs

    async def preview(self, ctx: StepContext, params: ExecParams) -> Preview:
        """Show the program; what it would do is not known."""
        async with open_engine(ctx, params) as engine:
            await engine.inspect(params.container)
        change = Change(action=Action.RUN, subject=params.container, after=" ".join(params.argv)[:4000])
        return Preview(changes=(change,), complete=False, note="what the program changes is not known beforehand")

    async def run(self, ctx: StepContext, params: ExecParams) -> ExecOutputs:
        """Run it."""
        started = ctx.clock()
        cutters = {
            1: LineCutter(_to_log(ctx, Stream.STDOUT), LINE_LIMIT),
            2: LineCutter(_to_log(ctx, Stream.STDERR), LINE_LIMIT),
        }
        finished = False
        try:
            async with open_engine(ctx, params) as engine:
                ended = await engine.exec(
                    params.container,
                    params.argv,
                    lambda stream, data: cutters[stream].feed(data),
                    user=params.user,
                    env=params.env,
                    cwd=params.cwd,
                )
            finished = True
        finally:
            for cutter in cutters.values():
                cutter.finish()
            if not finished:
                ctx.log(f"if {params.argv[0]} was started, it goes on in the container {params.container}")
        if ended.exit_code not in params.expect:
            raise StepFailed(
                f"{params.argv[0]} in {params.container} ended with exit code {ended.exit_code}:"
                f" {text_tail(ended.stderr or ended.stdout, 1000).strip()}"
            )
        return ExecOutputs(
            exit_code=ended.exit_code,
            stdout=text_tail(ended.stdout),
            stderr=text_tail(ended.stderr),
            seconds=round(ctx.clock() - started, 3),
        )

    async def available(self, ctx: StepContext) -> Availability:
        """Whether the engine answers."""
        return await engine_available(ctx)


def _to_log(ctx: StepContext, stream: Stream) -> Callable[[bytes], None]:
    return lambda line: ctx.log(line.decode("utf-8", "replace"), stream)
