"""A MariaDB server for a moment: made in a folder of its own, to load a dump and answer a question, and removed.

A dump of MySQL itself is not loaded: MariaDB does not know all that MySQL writes into its dumps.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pilotage_plugin_api import ProgramResult, StepContext, StepFailed

from pilotage_plugins.backup.scratch_server import make_folder, serving

DATABASE: Final = "drill"
NEEDED: Final = ("mariadbd", "mariadb-install-db", "mariadb")
HEAD: Final = 4096
_TABLES: Final = (
    "SELECT HEX(table_name) FROM information_schema.tables WHERE table_schema = DATABASE()"
    " AND table_type = 'BASE TABLE'"
)


@dataclass(frozen=True, slots=True)
class ScratchServer:
    """A running server that nobody else can reach: no network, and its socket lies in a folder of mode 0700."""

    ctx: StepContext
    folder: Path
    prefix: Sequence[str]

    async def load(self, dump: Path) -> None:
        """Load a dump; raises StepFailed at its first error."""
        await self._client("making a database", f"CREATE DATABASE {DATABASE}", "")
        with dump.open("rb") as source:
            await self._client("loading the dump", None, DATABASE, stdin=source.fileno())

    async def count(self) -> tuple[int, int]:
        """Return how many tables there are, and how many rows in them."""
        names = [bytes.fromhex(line).decode() for line in (await self.ask(_TABLES)).split()]
        rows = 0
        for name in names:
            quoted = name.replace("`", "``")
            rows += int(await self.ask(f"SELECT COUNT(*) FROM `{quoted}`"))  # noqa: S608 - quoted, and a copy's own name
        return len(names), rows

    async def ask(self, query: str) -> str:
        """Return the answer to a query as text, columns parted by tabs."""
        result = await self._client("asking the restored database", query, DATABASE)
        return result.stdout.decode("utf-8", "backslashreplace").strip("\n")

    async def is_ready(self) -> bool:
        """Say whether it answers."""
        return (await self._start("SELECT 1", "")).exit_code == 0

    async def _client(self, what: str, query: str | None, database: str, stdin: int | None = None) -> ProgramResult:
        result = await self._start(query, database, stdin)
        if result.exit_code:
            said = result.stderr.decode("utf-8", "backslashreplace").strip()[-1000:]
            raise StepFailed(f"{what}: mariadb ended with {result.ending}: {said}")
        return result

    async def _start(self, query: str | None, database: str, stdin: int | None = None) -> ProgramResult:
        argv = [
            *self.prefix, "mariadb", "--no-defaults", f"--socket={_socket(self.folder)}", "--user=root", "--batch",
            "--skip-column-names", "--default-character-set=utf8mb4", "--binary-mode",
        ]  # fmt: skip
        argv += [f"--execute={query}"] if query is not None else []
        argv += [database] if database else []
        return await self.ctx.program(argv, cwd=self.folder, stdin=stdin, on_stdout=lambda _line: None)


@asynccontextmanager
async def scratch_server(ctx: StepContext, folder: Path) -> AsyncIterator[ScratchServer]:
    """Make a server in this folder, which must not be there, and remove both afterwards.

    As root it runs as the user `mysql`, or as `nobody` where the host has none; that user must be able to go there.
    """
    prefix = await asyncio.to_thread(make_folder, folder, "MariaDB", ("mysql", "nobody"))
    server = ScratchServer(ctx, folder, prefix)
    data = folder / "data"
    try:
        made = await ctx.program(
            [*prefix, "mariadb-install-db", "--no-defaults", f"--datadir={data}", "--skip-test-db",
             "--auth-root-authentication-method=normal"],
            cwd=folder, on_stdout=lambda _line: None,
        )  # fmt: skip
        if made.exit_code:
            said = (made.stderr or made.stdout).decode("utf-8", "backslashreplace").strip()[-1000:]
            raise StepFailed(f"making a scratch server: mariadb-install-db ended with {made.ending}: {said}")
        argv = [
            *prefix, "mariadbd", "--no-defaults", f"--datadir={data}", f"--socket={_socket(folder)}",
            f"--pid-file={folder / 'pid'}", f"--tmpdir={folder}", "--skip-networking", "--skip-log-bin",
            "--local-infile=0", f"--secure-file-priv={data}", "--innodb-flush-log-at-trx-commit=0",
            "--max-allowed-packet=1G",
        ]  # fmt: skip
        async with serving(ctx, "MariaDB", argv, folder, server.is_ready):
            yield server
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def why_not_loaded(ctx: StepContext, dump: Path) -> str:
    """Say why a dump cannot be loaded here; empty when it can. Blocking."""
    with dump.open("rb") as source:
        if b"MariaDB" not in source.read(HEAD):
            return "it was not made by MariaDB's dump program"
    missing = [name for name in NEEDED if shutil.which(name, path=ctx.environment.get("PATH")) is None]
    return f"this host has no {missing[0]}: apt-get install mariadb-server" if missing else ""


def _socket(folder: Path) -> str:
    return str(folder / "mysqld.sock")
