"""What a shell offers after TAB: names that the coordinator knows. Without a coordinator, nothing, and at once."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

import typer
from pilotage_client import ClientError, PilotageClient

from pilotage_coordinator.cli.reaching import client_of
from pilotage_coordinator.cli.settings import GlobalOptions

MOST = 50
SECONDS = 2.0
"""How long a shell may be kept waiting."""

Ask = Callable[[PilotageClient], Awaitable[Sequence[tuple[str, str]]]]


def executions(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Offer the newest executions."""

    async def ask(client: PilotageClient) -> Sequence[tuple[str, str]]:
        runs = await client.list_runs(limit=MOST)
        known = [(each["id"], f"{each['blueprint']} {each['state']}") for each in runs]
        return [("last", "the newest"), *known] if known else []

    return _offer(context, incomplete, ask)


def hosts(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Offer hosts."""

    async def ask(client: PilotageClient) -> Sequence[tuple[str, str]]:
        return [(each["name"], each["state"]) for each in await client.list_hosts(limit=1000)]

    return _offer(context, incomplete, ask)


def blueprints(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Offer stored blueprints."""

    async def ask(client: PilotageClient) -> Sequence[tuple[str, str]]:
        return [(each["id"], each["name"]) for each in await client.list_blueprints(limit=1000)]

    return _offer(context, incomplete, ask)


def secrets(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Offer the names of secrets."""

    async def ask(client: PilotageClient) -> Sequence[tuple[str, str]]:
        return [(each["name"], "") for each in await client.list_secrets(limit=1000)]

    return _offer(context, incomplete, ask)


def schedules(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Offer schedules, by name."""

    async def ask(client: PilotageClient) -> Sequence[tuple[str, str]]:
        return [
            (each["name"], f"{each['blueprint']} {each['state']}") for each in await client.list_schedules(limit=MOST)
        ]

    return _offer(context, incomplete, ask)


def principals(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Offer principals."""

    async def ask(client: PilotageClient) -> Sequence[tuple[str, str]]:
        return [(each["principal"], each["kind"]) for each in await client.list_principals(limit=1000)]

    return _offer(context, incomplete, ask)


def roles(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Offer roles."""

    async def ask(client: PilotageClient) -> Sequence[tuple[str, str]]:
        return [(each["role"], each["description"]) for each in await client.list_roles(limit=1000)]

    return _offer(context, incomplete, ask)


def tokens(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Offer API tokens that still work, by id."""

    async def ask(client: PilotageClient) -> Sequence[tuple[str, str]]:
        found = await client.list_tokens(limit=1000)
        return [(each["token"], f"{each['principal']} {each['name']}") for each in found if each["state"] == "valid"]

    return _offer(context, incomplete, ask)


STATES: Final = (
    "pending", "waiting_approval", "running", "pausing", "paused", "cancelling", "needs_attention", "finishing",
    "rolling_back", "completed", "failed", "cancelled", "rolled_back", "rollback_incomplete",
)  # fmt: skip
"""The states of an execution."""


def states(incomplete: str) -> list[str]:
    """Offer the states of an execution."""
    return [each for each in STATES if each.startswith(incomplete)]


def _offer(context: typer.Context, incomplete: str, ask: Ask) -> list[tuple[str, str]]:
    given = context.find_root().params
    options = GlobalOptions(
        socket=Path(given["socket"]) if given.get("socket") else None,
        url=given.get("url") or "",
        context=given.get("context_name") or "",
        token_file=Path(given["token_file"]) if given.get("token_file") else None,
        ca=Path(given["ca"]) if given.get("ca") else None,
    )
    try:
        return [each for each in asyncio.run(_ask(options, ask)) if each[0].startswith(incomplete)]
    except (ClientError, TimeoutError):
        return []


async def _ask(options: GlobalOptions, ask: Ask) -> Sequence[tuple[str, str]]:
    async with asyncio.timeout(SECONDS), client_of(options) as client:
        return await ask(client)
