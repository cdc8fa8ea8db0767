"""`pilotage mcp`."""

import asyncio
import os
import shutil
import socket
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlencode

import typer
from pilotage_client import ClientError, PilotageClient, RequestRefused
from pilotage_client.answers import PrincipalDetail

from pilotage_coordinator.cli.assistants.bridge import serve as serve_pipes
from pilotage_coordinator.cli.assistants.clients import CLIENTS, snippet
from pilotage_coordinator.cli.commands.token import seconds
from pilotage_coordinator.cli.completion import principals
from pilotage_coordinator.cli.confirm import confirmed
from pilotage_coordinator.cli.exits import ExitCode, NotUnderstood, code_of_error
from pilotage_coordinator.cli.limits import BlueprintOption, CategoryOption, EnvironmentOption, HostsOption, limits
from pilotage_coordinator.cli.reaching import TOKEN, contexts_file, token_of, transport_of, way_of
from pilotage_coordinator.cli.screen import Screen
from pilotage_coordinator.cli.session import perform, show_error
from pilotage_coordinator.cli.settings import GlobalOptions
from pilotage_coordinator.cli.token_files import write_token

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    help="Let AI assistants in: what they may do, and how their clients are set up.",
)

TOOLSETS: Final = ("read", "run", "schedule", "author", "admin")
LOOKER: Final = "reader"
WORKER: Final = "assistant"
ROLES: Final = {"read": LOOKER, "run": WORKER, "schedule": LOOKER, "author": LOOKER, "admin": "auditor"}
"""The role that holds what an assistant needs for the tools of a set."""


class ClientName(StrEnum):
    """A client that is known by name."""

    CLAUDE_CODE = "claude-code"
    CLAUDE_DESKTOP = "claude-desktop"
    CURSOR = "cursor"
    VSCODE = "vscode"
    CODEX = "codex"
    GEMINI_CLI = "gemini-cli"
    OTHER = "other"


class ToolsetName(StrEnum):
    """Tools that belong together."""

    READ = "read"
    RUN = "run"
    SCHEDULE = "schedule"
    AUTHOR = "author"
    ADMIN = "admin"


Name = Annotated[str, typer.Argument(metavar="NAME", autocompletion=principals, help="The assistant's principal.")]
Toolset = Annotated[ToolsetName, typer.Argument(metavar="TOOLSET", help="read, run, schedule, author or admin.")]
ToolsetsOption = Annotated[
    str,
    typer.Option(
        "--toolsets",
        metavar="NAMES",
        help="Tools to show: read,run (the default), schedule, author, admin; or all.",
    ),
]
ReadOnlyOption = Annotated[
    bool, typer.Option("--read-only", help="Nothing that changes anything, whatever else is given.")
]


@app.command()
def serve(context: typer.Context, toolsets: ToolsetsOption = "", read_only: ReadOnlyOption = False) -> None:
    """Serve a client that starts this program and speaks the Model Context Protocol over its pipes.

    It needs an API token of its own (--token-file, or PILOTAGE_TOKEN); `mcp config` makes one and prints the settings.
    """
    options = context.obj if isinstance(context.obj, GlobalOptions) else GlobalOptions()
    query = {**({"toolsets": toolsets} if toolsets else {}), **({"read_only": "true"} if read_only else {})}
    path = "/mcp" + (f"?{urlencode(query, safe=',')}" if query else "")
    try:
        way = way_of(options)
        token = token_of(way)
        if not token:
            raise NotUnderstood(
                "an assistant is nobody without an API token of its own, also on this machine",
                f"`pilotage mcp config CLIENT` makes one; give it with --token-file, or as {TOKEN}",
            )
        asyncio.run(serve_pipes(transport_of(way, token), path))
    except ClientError as error:
        show_error(Screen.of_process(json=False), error)
        raise typer.Exit(int(code_of_error(error))) from error
    except KeyboardInterrupt as interrupt:
        raise typer.Exit(int(ExitCode.INTERRUPTED)) from interrupt


@app.command()
def config(
    context: typer.Context,
    client: Annotated[
        ClientName,
        typer.Argument(metavar="CLIENT", help="claude-code, claude-desktop, cursor, vscode, codex, gemini-cli, other."),
    ],
    read_only: ReadOnlyOption = False,
    name: Annotated[
        str, typer.Option("--name", metavar="NAME", help="The assistant's principal; else the client's name.")
    ] = "",
    toolsets: ToolsetsOption = "",
    blueprint: BlueprintOption = None,
    category: CategoryOption = None,
    environment: EnvironmentOption = None,
    limit: HostsOption = "",
    expires: Annotated[
        str, typer.Option("--expires", metavar="SPAN", help="How long its token is good: 12h, 30d, 8w; at most 400d.")
    ] = "90d",
    to_file: Annotated[
        Path | None,
        typer.Option("--to-file", metavar="FILE", help="Where the token goes, mode 0600; else beside contexts.toml."),
    ] = None,
) -> None:
    """Let an assistant in: make its principal and its token, and print the settings of its client.

    It may read, plan, start, and steer what it started, within the limits; with --read-only it may look. It never may
    approve. The token is in a file that only you can read, and in no settings.
    """
    life = seconds(expires)
    _check_toolsets(toolsets)
    options = context.obj if isinstance(context.obj, GlobalOptions) else GlobalOptions()

    async def work(client_: PilotageClient, screen: Screen) -> None:
        principal = name or client.value
        role = LOOKER if read_only else WORKER
        made = await _assistant(client_, principal, role, limits(blueprint, category, environment, limit))
        file = (to_file or contexts_file().parent / f"{principal}.token").absolute()
        await asyncio.to_thread(file.parent.mkdir, mode=0o700, parents=True, exist_ok=True)
        token = await client_.create_token(principal, name=socket.gethostname(), life=life)
        await asyncio.to_thread(write_token, file, token["text"])
        command = _command(options, file, toolsets, read_only=read_only)
        _tell(screen, client, made, file, token["token"], command)

    perform(context, work)


@app.command()
def grant(
    context: typer.Context,
    name: Name,
    toolset: Toolset,
    blueprint: BlueprintOption = None,
    category: CategoryOption = None,
    environment: EnvironmentOption = None,
    limit: HostsOption = "",
) -> None:
    """Give an assistant what the tools of a set need, within limits. Its client sees them at its next request."""

    async def work(client: PilotageClient, screen: Screen) -> None:
        role = _role(toolset)
        await _known(client, name)
        bounds = limits(blueprint, category, environment, limit)
        made = await client.set_principal_role(name, role, "add", limits=bounds)
        if screen.json:
            screen.object(made)
        else:
            screen.line(f"{name} holds the role {role} now, for the tools of {toolset.value}")

    perform(context, work)


@app.command()
def revoke(
    context: typer.Context,
    name: Name,
    toolset: Annotated[
        ToolsetName | None, typer.Argument(metavar="TOOLSET", help="Only what the tools of this set need.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Take back what the tools of a set need; without a set, end every token of the assistant at once."""

    async def work(client: PilotageClient, screen: Screen) -> None:
        made = await _known(client, name)
        if toolset is not None:
            role = _role(toolset)
            made = await client.set_principal_role(name, role, "remove")
            said = f"{name} no longer holds the role {role}"
        else:
            good = [each["token"] for each in await client.list_tokens(name) if each["state"] == "valid"]
            if not confirmed(screen, f"End {len(good)} tokens of {name}? It is shut out at once.", yes=yes):
                return
            for token in good:
                await client.revoke_token(token)
            said = (
                f"{len(good)} tokens of {name} are revoked; `pilotage principal disable {name}` keeps it out for good"
            )
        if screen.json:
            screen.object(made)
        else:
            screen.line(said)

    perform(context, work)


async def _assistant(client: PilotageClient, name: str, role: str, bounds: dict[str, Any]) -> PrincipalDetail:
    """Return the principal, made now or known already; one that is no assistant is refused."""
    who = await client.whoami()
    sponsor = who["principal"] if who["kind"] == "person" else None
    try:
        return await client.add_principal(name, "assistant", role=role, limits=bounds, sponsor=sponsor)
    except RequestRefused as error:
        if error.status != 409:
            raise
    made = await _known(client, name)
    if any(bounds.values()):
        raise NotUnderstood(
            f"there is an assistant {name} already, and its limits stay what they are",
            f"choose another --name, or change them: pilotage principal role {name} --add {role} with limits",
        )
    held = {grant["role"] for grant in made["grants"]}
    if role not in held:
        raise NotUnderstood(
            f"there is an assistant {name} already, and it holds {', '.join(sorted(held)) or 'no role'}",
            f"choose another --name, or change it: pilotage principal role {name} --add {role}",
        )
    if role == LOOKER and held != {LOOKER}:
        raise NotUnderstood(
            f"there is an assistant {name} already, and it may do more than look: {', '.join(sorted(held))}",
            "choose another --name for one that may only look",
        )
    return made


async def _known(client: PilotageClient, name: str) -> PrincipalDetail:
    made = await client.show_principal(name)
    if made["kind"] != "assistant":
        raise NotUnderstood(
            f"{name} is a {made['kind']}, not an assistant",
            "an assistant has a principal of its own: `pilotage mcp config CLIENT --name NAME` makes one",
        )
    return made


def _role(toolset: ToolsetName) -> str:
    return ROLES[toolset.value]


def _check_toolsets(text: str) -> None:
    wrong = [each for each in text.split(",") if text and text != "all" and each not in TOOLSETS]
    if wrong:
        raise typer.BadParameter(f"there is no toolset {wrong[0]!r}: there are {', '.join(TOOLSETS)}, and all")


def _command(options: GlobalOptions, file: Path, toolsets: str, *, read_only: bool) -> list[str]:
    """Return the command that a client starts."""
    way = way_of(options)
    reach = ["--url", way.url] if way.url else ["--socket", str(way.socket.absolute())] if way.socket else []
    reach += ["--ca", str(way.ca.absolute())] if way.ca else []
    shown = ["--toolsets", toolsets] if toolsets else []
    return [
        _program(),
        "mcp",
        "serve",
        *reach,
        "--token-file",
        str(file),
        *shown,
        *(["--read-only"] if read_only else []),
    ]


def _program() -> str:
    """Return where this program lies: clients are often started without the user's PATH."""
    here = Path(sys.argv[0])
    if here.name == "pilotage" and os.access(here, os.X_OK):
        return str(here.absolute())
    return shutil.which("pilotage") or "pilotage"


def _tell(
    screen: Screen, client: ClientName, made: PrincipalDetail, file: Path, token: str, command: list[str]
) -> None:
    kind = CLIENTS[client.value]
    text = snippet(kind, command)
    if screen.json:
        screen.object(
            {
                "principal": made["principal"],
                "token": token,
                "token_file": str(file),
                "command": command,
                "settings": text,
                "place": kind.place,
            }
        )
        return
    screen.hint(f"{made['principal']} is let in; its token {token} is in {file}")
    screen.hint(f"Settings of {kind.name}, for {kind.place}:")
    screen.line(text)
