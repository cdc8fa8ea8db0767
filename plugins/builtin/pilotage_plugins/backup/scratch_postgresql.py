"""A PostgreSQL server for a moment: made in a folder of its own, to load a dump and answer a question, and removed."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pilotage_plugin_api import ProgramResult, StepContext, StepFailed, TargetFailed

from pilotage_plugins.backup.scratch_server import make_folder, serving

PROGRAM_FOLDERS: Final = Path("/usr/lib/postgresql")
"""Where Debian and its kin keep each version's programs."""

DATABASE: Final = "drill"
_COUNT: Final = (
    "SELECT count(*), coalesce(sum((xpath('/row/c/text()', query_to_xml("
    "format('SELECT count(*) AS c FROM ONLY %I.%I', n.nspname, c.relname), false, true, '')))[1]::text::bigint), 0)"
    " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema')"
)


@dataclass(frozen=True, slots=True)
class ScratchServer:
    """A running server that nobody else can reach: its socket lies in a folder of mode 0700."""

    ctx: StepContext
    programs: Path
    folder: Path
    prefix: Sequence[str]

    async def load(self, dump: Path) -> None:
        """Load a dump of format custom; raises StepFailed at its first error. Owners and rights are left out: roles
        are not part of a dump."""
        await self._run("making a database", "createdb", "--template=template0", DATABASE)
        with dump.open("rb") as source:
            await self._run(
                "loading the dump", "pg_restore", "--exit-on-error", "--no-owner", "--no-privileges",
                f"--dbname={DATABASE}", stdin=source.fileno(),
            )  # fmt: skip

    async def count(self) -> tuple[int, int]:
        """Return how many tables there are, and how many rows in them."""
        tables, _, rows = (await self.ask(_COUNT)).partition("|")
        return int(tables), int(rows)

    async def ask(self, query: str) -> str:
        """Return the answer to a query as text, columns parted by |."""
        result = await self._run(
            "asking the restored database", "psql", "--no-psqlrc", "--no-align", "--tuples-only", "--quiet",
            "--set=ON_ERROR_STOP=1", f"--dbname={DATABASE}", f"--command={query}",
        )  # fmt: skip
        return result.stdout.decode("utf-8", "backslashreplace").strip("\n")

    async def is_ready(self) -> bool:
        """Say whether it answers."""
        asked = await self._start("pg_isready", "--quiet")
        return asked.exit_code == 0

    async def _run(self, what: str, program: str, *arguments: str, stdin: int | None = None) -> ProgramResult:
        result = await self._start(program, *arguments, stdin=stdin)
        if result.exit_code:
            said = result.stderr.decode("utf-8", "backslashreplace").strip()[-1000:]
            raise StepFailed(f"{what}: {program} ended with {result.ending}: {said}")
        return result

    async def _start(self, program: str, *arguments: str, stdin: int | None = None) -> ProgramResult:
        return await self.ctx.program(
            [*self.prefix, self.programs / program, *arguments],
            env={"PGHOST": str(self.folder), "PGPORT": "5432"},
            cwd=self.folder,
            stdin=stdin,
            on_stdout=lambda _line: None,
        )


@asynccontextmanager
async def scratch_server(ctx: StepContext, folder: Path) -> AsyncIterator[ScratchServer]:
    """Make a server in this folder, which must not be there, and remove both afterwards.

    As root it runs as the user `postgres`, who must be able to go there. Raises TargetFailed without PostgreSQL.
    """
    programs = find_programs()
    prefix = await asyncio.to_thread(make_folder, folder, "PostgreSQL", ("postgres",))
    server = ScratchServer(ctx, programs, folder, prefix)
    try:
        await server._run(
            "making a scratch server", "initdb", "--no-sync", "--auth=peer", "--encoding=UTF8", "--locale=C.UTF-8",
            f"--pgdata={folder / 'data'}",
        )  # fmt: skip
        async with serving(ctx, "PostgreSQL", _argv(server), folder, server.is_ready):
            yield server
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def find_programs() -> Path:
    """Return the folder of the newest PostgreSQL's programs; raises TargetFailed when there is none."""
    found = [path.parent for path in PROGRAM_FOLDERS.glob("*/bin/initdb")]
    if not found and (beside := shutil.which("initdb")):
        found = [Path(beside).parent]
    if not found:
        raise TargetFailed(
            "no PostgreSQL server is installed to try the dump with: apt-get install postgresql, or drill on a host"
            " that has one"
        )
    return max(found, key=lambda path: [int(part) for part in path.parts if part.isdecimal()])


def _argv(server: ScratchServer) -> list[str | Path]:
    argv: list[str | Path] = [*server.prefix, server.programs / "postgres", "-D", server.folder / "data"]
    argv += ["-k", server.folder]
    options = ("listen_addresses=", "port=5432", "fsync=off", "autovacuum=off", "archive_mode=off", "max_wal_senders=0")
    for option in (*options, "wal_level=minimal"):
        argv += ["-c", option]
    return argv
