"""One command at work: the client, the screen, and what an error turns into."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import typer
from pilotage_client import ClientError, PilotageClient, RequestRefused

from pilotage_coordinator.cli.exits import ExitCode, NotUnderstood, code_of_error
from pilotage_coordinator.cli.reaching import client_of
from pilotage_coordinator.cli.screen import Screen
from pilotage_coordinator.cli.settings import GlobalOptions

Work = Callable[[PilotageClient, Screen], Awaitable[ExitCode | None]]


def perform(context: typer.Context, work: Work) -> None:
    """Run a command's work with a client and a screen, show what it raises, and exit with the right code."""
    options = context.obj if isinstance(context.obj, GlobalOptions) else GlobalOptions()
    screen = Screen.of_process(json=options.json)
    try:
        code = asyncio.run(_with_client(options, screen, work))
    except ClientError as error:
        show_error(screen, error)
        code = code_of_error(error)
    except KeyboardInterrupt:
        screen.say("interrupted")
        code = ExitCode.INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has left; nothing can be said to it.
        sys.stderr.close()
        code = ExitCode.OK
    if code:
        raise typer.Exit(int(code))


async def _with_client(options: GlobalOptions, screen: Screen, work: Work) -> ExitCode | None:
    async with client_of(options) as client:
        return await work(client, screen)


def show_error(screen: Screen, error: ClientError) -> None:
    """Show an error with every problem, its place, and the fix: as one JSON object where JSON was asked for."""
    problems: list[dict[str, Any]] = []
    if isinstance(error, RequestRefused):
        problems = [dict(each) for each in error.problems]
    if screen.json:
        kind = _kind(error)
        screen.error_object({"error": error.detail, "kind": kind, "fix": error.fix, "problems": problems})
        return
    screen.error(error.detail)
    for each in problems:
        # A single problem stands in the detail already.
        if each["message"] not in error.detail:
            screen.error_line(problem_line(each))
    if error.fix:
        screen.hint(error.fix)


def _kind(error: ClientError) -> str:
    if isinstance(error, RequestRefused):
        return error.kind
    return "usage" if isinstance(error, NotUnderstood) else "infrastructure"


def problem_line(problem: dict[str, Any]) -> str:
    """Write a problem in one line: place, path, host, message and fix."""
    parts = []
    if problem["file"] and problem["line"]:
        parts.append(f"{problem['file']}:{problem['line']}:{problem['column']}:")
    elif problem["file"]:
        parts.append(f"{problem['file']}:")
    if problem["path"]:
        parts.append(f"{problem['path']}:")
    if problem["host"]:
        parts.append(f"on {problem['host']}:")
    parts.append(problem["message"])
    if problem["fix"]:
        parts.append(f"({problem['fix']})")
    return "  " + " ".join(parts)


def usage(message: str) -> typer.BadParameter:
    """Return the error for a command line that does not make sense: exit code 2."""
    return typer.BadParameter(message)
