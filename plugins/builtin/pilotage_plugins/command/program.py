"""What every step that runs one program shares: its surroundings, its guards, and how its end is judged."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated, Any

from pilotage_plugin_api import (
    Action,
    Change,
    Preview,
    SecretRef,
    StepContext,
    StepFailed,
    StepOutputs,
    StepParams,
    TargetFailed,
)
from pydantic import Field, JsonValue

from pilotage_plugins.command.identity import Identity, identity_of
from pilotage_plugins.command.outputs import Parse, parse_stdout, text_tail

AbsolutePath = Annotated[str, Field(pattern=r"^/[^\x00]*$", max_length=4000)]


class ProgramParams(StepParams):
    """The surroundings of a program, and when it need not run."""

    user: str | None = Field(None, min_length=1, description="Run as this user of the host (the agent's own user)")
    cwd: Path | None = Field(None, description="Folder to run in (a scratch folder; for another user, his home)")
    env: dict[str, Annotated[SecretRef | str, Field(union_mode="left_to_right")]] = Field(
        default_factory=dict,
        description="Added to a plain environment; PATH is set. The value secret://NAME stands for that secret, which"
        " root and the program's user can then read while it runs: secret_files keeps it closer",
    )
    secret_files: dict[str, SecretRef] = Field(
        default_factory=dict, description="Variables that get the path of a file holding the secret, in memory only"
    )
    stdin: str | None = Field(None, description="Text for standard input (none: reading it ends at once)")
    expect: tuple[int, ...] = Field((0,), min_length=1, description="Exit codes that count as success")
    parse: Parse = Field(Parse.NONE, description="Read standard output as JSON or as lines into the output `parsed`")
    creates: AbsolutePath | None = Field(
        None, description="Do not run when this path exists; fail when it does not exist afterwards"
    )
    removes: AbsolutePath | None = Field(
        None, description="Do not run when this path is gone; fail when it exists afterwards"
    )


class ProgramOutputs(StepOutputs):
    """How the program ended. The streams are their last part, about 12 KiB each.

    `ran` is false when a guard said that there is nothing to do; `exit_code` is null then.
    """

    ran: bool = True
    exit_code: int | None
    stdout: str
    stderr: str
    parsed: JsonValue = None
    seconds: float


def reason_not_to_run(params: ProgramParams) -> str | None:
    """Say why a guard holds the program back; None when it should run. A link counts as the link itself."""
    if params.creates is not None and os.path.lexists(params.creates):
        return f"{params.creates!r} exists already"
    if params.removes is not None and not os.path.lexists(params.removes):
        return f"{params.removes!r} is gone already"
    return None


async def preview_program(params: ProgramParams, line: str) -> Preview:
    """Show what would be run, or that a guard holds it back; what it changes is not known."""
    if reason := await asyncio.to_thread(reason_not_to_run, params):
        return Preview(changes=(Change(action=Action.NONE, subject=line[:4096], note=reason[:4096]),))
    identity = await asyncio.to_thread(identity_of, params.user)
    where = f"in {params.cwd}" if params.cwd else ""
    note = " ".join(filter(None, [f"as {params.user}" if identity.other else "", where]))
    return Preview(
        changes=(Change(action=Action.RUN, subject=line[:4096], note=note[:4096]),),
        complete=False,
        note="what the program changes is known only to its author",
    )


async def run_guarded(
    ctx: StepContext, params: ProgramParams, argv: Sequence[str], name: str, pass_fds: Sequence[int] = ()
) -> ProgramOutputs:
    """Run a program in its surroundings unless a guard holds it back, and judge how it ended.

    `name` stands for it in messages. An exit code that is not expected, output that is not what was promised and a
    guard that is not met afterwards are failures of kind step; a missing user or folder is one of kind target.
    """
    if reason := await asyncio.to_thread(reason_not_to_run, params):
        ctx.log(f"nothing to do: {reason}")
        return ProgramOutputs(ran=False, exit_code=None, stdout="", stderr="", seconds=0.0)
    identity = await asyncio.to_thread(identity_of, params.user)
    async with AsyncExitStack() as stack:
        files = {key: await stack.enter_async_context(ctx.secret_file(ref)) for key, ref in params.secret_files.items()}
        for file in files.values():
            if identity.other:
                os.fchown(file.fd, identity.uid, identity.gid)
        environment = await environment_of(ctx, params.env)
        result = await ctx.program(
            [*identity.prefix, *argv],
            cwd=params.cwd or _folder_for(identity),
            env={**identity.env, **environment, **{key: file.path for key, file in files.items()}},
            stdin=None if params.stdin is None else params.stdin.encode(),
            pass_fds=[*pass_fds, *(file.fd for file in files.values())],
        )
    said = text_tail(result.stderr or result.stdout, 2048).strip()
    if identity.other and result.exit_code in (126, 127) and said.startswith("setpriv: failed to execute"):
        raise TargetFailed(f"cannot run {name} as {params.user}: {said}")
    if result.exit_code not in params.expect:
        expected = " or ".join(map(str, params.expect))
        raise StepFailed(f"{name} ended with {result.ending}, expected {expected}; its last words: {said}")
    parsed: Any = parse_stdout(result, params.parse, name)
    if await asyncio.to_thread(_guard_is_unmet, params):
        what = f"did not create {params.creates!r}" if params.creates else f"did not remove {params.removes!r}"
        raise StepFailed(f"{name} ended with {result.ending}, but {what}; its last words: {said}")
    return ProgramOutputs(
        exit_code=result.exit_code,
        stdout=text_tail(result.stdout),
        stderr=text_tail(result.stderr),
        parsed=parsed,
        seconds=round(result.seconds, 3),
    )


async def environment_of(ctx: StepContext, env: Mapping[str, SecretRef | str]) -> dict[str, str]:
    """Return variables with the contents of secrets; raises StepFailed for a content that no variable can hold."""
    found: dict[str, str] = {}
    for name, value in env.items():
        if isinstance(value, str):
            found[name] = value
            continue
        content = await ctx.secret(value)
        if b"\0" in content:
            raise StepFailed(
                f"env.{name}: {value} holds a zero byte, which no variable can: hand it over as a file (secret_files)"
            )
        found[name] = os.fsdecode(content)
    return found


def _guard_is_unmet(params: ProgramParams) -> bool:
    guarded = params.creates is not None or params.removes is not None
    return guarded and reason_not_to_run(params) is None


def _folder_for(identity: Identity) -> Path | None:
    """Return where another user's program starts; our scratch folder is closed to him."""
    if not identity.other:
        return None
    return identity.home if identity.home is not None and identity.home.is_dir() else Path("/")
