"""The place of a PostgreSQL database: loaded into a new database beside it, which takes its name in one transaction."""

import asyncio
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pilotage_plugin_api import ProgramResult, Refused, StepContext, StepError, StepFailed, TargetFailed

from pilotage_plugins.backup import postgresql
from pilotage_plugins.backup.dump import Dump, last_lines
from pilotage_plugins.backup.place import Placed, PlacedNote, Wish, before, beside
from pilotage_plugins.backup.pouring import pour
from pilotage_plugins.backup.server import Database, Login
from pilotage_plugins.backup.stored import StoredCopy
from pilotage_plugins.backup.target import TargetWas
from pilotage_plugins.note import shelf

EVERYBODYS: Final = Path("/")
"""Where the clients run: the user that they run as may not go into the scratch folder, and they complain of that."""

NAME_BYTES: Final = 63
"""The longest name that PostgreSQL takes."""

_OWN_OBJECTS: Final = " OR ".join(
    f"EXISTS (SELECT FROM {catalogue} WHERE oid >= 16384{more})"
    for catalogue, more in (
        ("pg_class", " AND relnamespace NOT IN (SELECT oid FROM pg_namespace WHERE nspname ~ '^pg_')"),
        ("pg_proc", ""),
        ("pg_namespace", " AND nspname !~ '^pg_'"),
        ("pg_extension", ""),
        ("pg_largeobject_metadata", ""),
    )
)
"""Objects that were not there when the cluster was made have numbers from 16384; temporary tables do not count."""

_CREATE: Final = re.compile(r"^CREATE DATABASE (?P<name>\"(?:[^\"]|\"\")+\"|\S+) WITH (?P<how>.*);$", re.MULTILINE)
_PROPERTY: Final = re.compile(
    r"^(?:ALTER|COMMENT ON|SECURITY LABEL .* ON|(?:GRANT|REVOKE) .* ON) DATABASE"
    r" (?P<name>\"(?:[^\"]|\"\")+\"|\S+) .*;$",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class PostgresPlace:
    """A database of a running server (see `place.Place`). Its identity is the number that the server gave it."""

    ctx: StepContext
    database: Database
    login: Login
    attempt: str
    wish: Wish

    async def look(self) -> TargetWas:
        """Ask for the database, and for objects in it."""
        if await self._number(self.database.name) is None:
            return TargetWas.MISSING
        return await self._content(self.database.name)

    async def load(self, copy: StoredCopy) -> None:
        """Make the database as it was made once, and let pg_restore fill it."""
        how, properties = _read_properties(await self._head(copy), beside(self.attempt), self.wish.owners)
        await self._sql(f"CREATE DATABASE {_quoted(beside(self.attempt))} WITH {how}")
        argv = ["pg_restore", "--exit-on-error", "--no-password", f"--dbname={beside(self.attempt)}"]
        argv += [] if self.wish.owners else ["--no-owner", "--no-privileges"]

        async def restore(ctx: StepContext, source: int) -> ProgramResult:
            return await ctx.program(
                [*self.login.prefix, *argv], env=self.login.env, pass_fds=self.login.fds, stdin=source, cwd=EVERYBODYS
            )

        self._check(await pour(self.ctx, Dump(self.ctx, copy), restore))
        for statement in properties:
            await self._sql(statement)

    async def put(self, was: TargetWas) -> Placed:
        """Give it the name, and what had the name another one, in one transaction."""
        own, name = beside(self.attempt), self.database.name
        previous = before(name, self.attempt, NAME_BYTES) if was is not TargetWas.MISSING else None
        if was is TargetWas.EMPTY and await self._content(own) is TargetWas.EMPTY:
            return await self._leave()
        identity = await self._number(own)
        if identity is None:
            raise StepFailed(f"the database {own!r}, which was just loaded, is gone: somebody has removed it")
        placed = Placed(identity=identity, previous=previous, target_was=was)
        await shelf.write(self.attempt, PlacedNote(placed=placed))
        away = f"ALTER DATABASE {_quoted(name)} RENAME TO {_quoted(previous)};" if previous else ""
        await self._sql(f"BEGIN; {away} ALTER DATABASE {_quoted(own)} RENAME TO {_quoted(name)}; COMMIT")
        if previous and not self.wish.keep_previous:
            try:
                await self._drop(previous)
            except StepError as error:  # the new one is there: that is what counts
                self.ctx.log(f"what was there is still there, as {previous!r}: {error}")
            else:
                placed = placed.model_copy(update={"previous": None})
        return placed

    async def tidy(self) -> str:
        """Drop what was loaded beside the place."""
        own = beside(self.attempt)
        if await self._number(own) is None:
            return ""
        await self._drop(own)
        return f"dropped the database {own}, which was loaded only in part or had not taken its place"

    async def placed(self) -> Placed | None:
        """Ask whether the database of this name is the one that the attempt noted."""
        note = await asyncio.to_thread(shelf.find, self.attempt, PlacedNote)
        if note is None or note.placed.identity != await self._number(self.database.name):
            return None
        previous = note.placed.previous
        kept = previous if previous and await self._number(previous) else None
        return note.placed.model_copy(update={"previous": kept})

    async def take_back(self, placed: Placed) -> None:
        """Give the name back in one transaction, then drop what was restored."""
        if not placed.changed:
            return
        if placed.previous is None and placed.target_was is not TargetWas.MISSING:
            raise Refused(
                f"what was in {self.database.name!r} was not kept (keep_previous: false), so it cannot be put back"
            )
        undone, name = f"pilotage_undone_{placed.identity}", self.database.name
        there = await self._number(name)
        if there == placed.identity:
            back = f"ALTER DATABASE {_quoted(placed.previous)} RENAME TO {_quoted(name)};" if placed.previous else ""
            await self._sql(f"BEGIN; ALTER DATABASE {_quoted(name)} RENAME TO {_quoted(undone)}; {back} COMMIT")
        elif await self._number(undone) is None and placed.previous and await self._number(placed.previous):
            raise StepFailed(
                f"another database is called {name!r} now, so nothing was undone; what was there before is"
                f" {placed.previous!r}"
            )
        if await self._number(undone) is not None:
            await self._drop(undone)

    async def _leave(self) -> Placed:
        """Both are empty: nothing has to take any place."""
        identity = await self._number(self.database.name) or ""
        placed = Placed(identity=identity, previous=None, target_was=TargetWas.EMPTY, changed=False)
        await shelf.write(self.attempt, PlacedNote(placed=placed))
        await self._drop(beside(self.attempt))
        return placed

    async def _head(self, copy: StoredCopy) -> str:
        """Return the statements that make the database itself; only the beginning of the dump is read for them."""
        argv = ["pg_restore", "--create", "--use-list=/dev/null", "--file=-"]

        async def tell(ctx: StepContext, source: int) -> ProgramResult:
            return await ctx.program(
                [*self.login.prefix, *argv],
                env=self.login.env,
                stdin=source,
                cwd=EVERYBODYS,
                on_stdout=lambda _line: None,
            )

        result = await pour(self.ctx, Dump(self.ctx, copy), tell, whole=False)
        self._check(result)
        return result.stdout.decode("utf-8", "replace")

    async def _number(self, name: str) -> str | None:
        return await self._sql(f"SELECT oid FROM pg_database WHERE datname = {_literal(name)}") or None  # noqa: S608

    async def _content(self, name: str) -> TargetWas:
        occupied = await self._sql(f"SELECT {_OWN_OBJECTS}", name)
        return TargetWas.OCCUPIED if occupied == "t" else TargetWas.EMPTY

    async def _drop(self, name: str) -> None:
        """Drop a database of ours; a session of a client that was killed may end a moment later than the client."""
        await self._sql(
            f"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = {_literal(name)}"  # noqa: S608
        )
        await self._sql(f"DROP DATABASE IF EXISTS {_quoted(name)}")

    async def _sql(self, statement: str, database: str = "") -> str:
        """Run a statement, in another database than the one that is meant unless it is named; return the answer."""
        elsewhere = "template1" if self.database.name == "postgres" else "postgres"
        argv = ["psql", "--no-psqlrc", "-Atq", "--no-password", "--set=ON_ERROR_STOP=1", f"--command={statement}"]
        result = await self.ctx.program(
            [*self.login.prefix, *argv],
            env={**self.login.env, "PGDATABASE": database or elsewhere},
            pass_fds=self.login.fds,
            cwd=EVERYBODYS,
            on_stdout=lambda _line: None,
        )
        self._check(result)
        return result.stdout.decode("utf-8", "replace").strip()

    def _check(self, result: ProgramResult) -> None:
        if result.exit_code:
            said = last_lines(result.stderr) or "nothing"
            raise postgresql.explain(self.database, said, result.ending, "restored")


def check_name(database: Database) -> None:
    """Raise TargetFailed for a name that PostgreSQL would cut, and so take for another one."""
    if len(database.name.encode()) > NAME_BYTES:
        raise TargetFailed(f"the name {database.name!r} is longer than the {NAME_BYTES} bytes that PostgreSQL takes")


def _read_properties(head: str, name: str, owners: bool) -> tuple[str, list[str]]:
    """Return from the head of a dump how its database is made, and the statements that give this name its properties.

    Raises StepFailed when the dump does not say how.
    """
    made = _CREATE.search(head)
    if made is None:
        raise StepFailed("the dump does not say how its database is made: was it made by pg_dump --format=custom?")
    statements = []
    for found in _PROPERTY.finditer(head):
        begin, end = found.span("name")
        of_roles = found[0].startswith(("GRANT", "REVOKE")) or head.startswith(" OWNER TO ", end)
        if found["name"] != made["name"] or (of_roles and not owners):
            continue
        statements.append(head[found.start() : begin] + _quoted(name) + head[end : found.end()])
    return made["how"], statements


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
