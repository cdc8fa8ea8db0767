"""The command line run in this process against services over a simulated store, through the real HTTP application."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from pilotage_client import PilotageClient
from pilotage_client.transport import Transport
from pilotage_coordinator.api.application import application
from pilotage_coordinator.cli import session
from pilotage_coordinator.cli.app import run
from pilotage_coordinator.cli.exits import ExitCode
from pilotage_coordinator.cli.screen import Screen
from pilotage_coordinator.cli.session import Work
from pilotage_coordinator.cli.settings import GlobalOptions
from pilotage_coordinator.service.caller import Caller

from tests.unit.service.desk import OWNER, Desk, always, open_desk

Prepare = Callable[[Desk], Awaitable[None]]


@dataclass(frozen=True)
class Said:
    """What a command wrote and how it ended; `audit` holds (operation, outcome, subject)."""

    code: int
    out: str
    err: str
    audit: list[tuple[str, str, str]]

    @property
    def json(self) -> Any:
        """Return the one JSON value on standard output."""
        return json.loads(self.out)


class Terminal:
    """Runs commands. Each gets a fresh coordinator, made ready by `prepare`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def run(self, *arguments: str, prepare: Prepare | None = None, caller: Caller = OWNER) -> Said:
        """Run `pilotage` with these arguments."""
        audit: list[tuple[str, str, str]] = []

        async def with_client(options: GlobalOptions, screen: Screen, work: Work) -> ExitCode | None:
            desk, disk = await open_desk()
            try:
                if prepare is not None:
                    await prepare(desk)
                before = len(await desk.audit())
                served = application(desk.services, always(caller), asyncio.Event())
                http = httpx.AsyncClient(transport=httpx.ASGITransport(served), base_url="http://pilotage")
                try:
                    async with PilotageClient(Transport(http, "here")) as client:
                        return await work(client, screen)
                finally:
                    audit.extend((await desk.audit())[before:])
            finally:
                await desk.store.close()
                disk.close()

        with self._monkeypatch.context() as patch:
            patch.setattr(session, "_with_client", with_client)
            try:
                run(arguments)
            except SystemExit as exit:
                code = int(exit.code or 0)
        out, err = self._capsys.readouterr()
        return Said(code, out, err, audit)

    def run_alone(self, *arguments: str, socket: Path) -> Said:
        """Run `pilotage` where no coordinator is."""
        try:
            run(["--socket", str(socket), *arguments])
        except SystemExit as exit:
            code = int(exit.code or 0)
        out, err = self._capsys.readouterr()
        return Said(code, out, err, [])
