"""Moving all that is in a MySQL or MariaDB database into another one of the same server.

No statement renames a database. Its tables go over in one instant (RENAME TABLE); what is bound to a database by its
name, which is triggers, routines, events and views, is described by the dump program, and made anew from that. So the
description is kept before anything is touched, and a move that was cut off is gone on with until it is done.
"""

import base64
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from pilotage_plugin_api import ProgramResult, StepContext, StepOutputs

from pilotage_plugins.backup import mysql
from pilotage_plugins.backup.dump import last_lines
from pilotage_plugins.backup.server import Database, Login

_OBJECT_OPTIONS: Final = ("--no-data", "--no-tablespaces", "--skip-lock-tables", "--default-character-set=utf8mb4")
_PROGRAMS: Final = ("--no-create-info", "--routines", "--events", "--triggers", "--add-drop-trigger")


class Move(StepOutputs):
    """One move. `objects`: what is to be made anew at the target, in base64."""

    source: str
    target: str
    objects: str
    done: bool = False


class Moves(StepOutputs):
    """Moves that an attempt owes: begun, and to be gone on with. `then_drop`: a database that goes at their end."""

    kind: Literal["mysql-moves"] = "mysql-moves"
    moves: tuple[Move, ...]
    then_drop: str | None = None


Keep = Callable[[Moves], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class MysqlServer:
    """A server that is asked by its own client; `database` names what errors are about."""

    ctx: StepContext
    database: Database
    login: Login

    async def move(self, source: str, target: str) -> Move:
        """Return a move that can be carried out, also again and again, as all is known that it needs."""
        objects = base64.b64encode(await self._describe(source)).decode()
        return Move(source=source, target=target, objects=objects)

    async def carry_out(self, moves: Moves, keep: Keep) -> None:
        """Do what is not done yet; `keep` holds on, durably, to how far that is."""
        for number, move in enumerate(moves.moves):
            if move.done:
                continue
            await self._move(move)
            moves = _with(moves, number, move.model_copy(update={"done": True}))
            await keep(moves)
        if moves.then_drop:
            await self.drop(moves.then_drop)

    async def exists(self, name: str) -> bool:
        """Say whether there is a database of this name."""
        return bool(await self.ask(f"SELECT 1 FROM information_schema.schemata WHERE schema_name = {literal(name)}"))  # noqa: S608

    async def is_empty(self, name: str) -> bool:
        """Say whether nothing is in a database: no table, view, routine or event."""
        found = [
            await self.ask(f"SELECT 1 FROM information_schema.{kind} WHERE {of} = {literal(name)} LIMIT 1")  # noqa: S608
            for kind, of in (("tables", "table_schema"), ("routines", "routine_schema"), ("events", "event_schema"))
        ]
        return not any(found)

    async def sessions(self, name: str) -> int:
        """Count the sessions that are in a database, as far as the user may see them."""
        [line] = await self.ask(f"SELECT COUNT(*) FROM information_schema.processlist WHERE db = {literal(name)}")  # noqa: S608
        return int(line)

    async def create(self, name: str, like: str | None = None) -> None:
        """Make an empty database, with the character set of another one."""
        how = ""
        if like is not None:
            [line] = await self.ask(
                "SELECT CONCAT(default_character_set_name, ' COLLATE ', default_collation_name)"  # noqa: S608
                f" FROM information_schema.schemata WHERE schema_name = {literal(like)}"
            )
            how = f" CHARACTER SET {line.decode()}"
        await self.run(f"CREATE DATABASE {quoted(name)}{how};")

    async def drop(self, name: str) -> None:
        """Drop a database; it need not be there."""
        await self.run(f"DROP DATABASE IF EXISTS {quoted(name)};")

    async def ask(self, query: str) -> list[bytes]:
        """Return the lines of the answer to a query."""
        path = self.ctx.scratch / "answer"
        with path.open("wb") as out:
            await self._client(f"{query};".encode(), "", out.fileno())
        return path.read_bytes().splitlines()

    async def run(self, statements: str, database: str = "") -> None:
        """Run statements."""
        await self._client(statements.encode(), database, None)

    async def load(self, ctx: StepContext, source: int, database: str) -> ProgramResult:
        """Feed a descriptor's content to the client, and return how that ended; nothing in it runs a program here."""
        return await ctx.program(
            self._argv(database),
            env=self.login.env,
            pass_fds=self.login.fds,
            stdin=source,
            on_stdout=lambda _line: None,
        )

    def check(self, result: ProgramResult) -> None:
        """Raise the StepError that a client's failure means."""
        if result.exit_code:
            said = last_lines(result.stderr) or "nothing"
            raise mysql.explain(self.database, said, result.ending, "restored")

    async def _move(self, move: Move) -> None:
        if not await self.exists(move.source):
            return  # it goes last
        if not await self.exists(move.target):
            await self.create(move.target, like=move.source)
        triggers = await self._names("triggers", "trigger", move.source)
        tables = await self._names("tables", "table", move.source, "AND table_type NOT LIKE '%VIEW'")
        statements = [f"DROP TRIGGER {quoted(move.source)}.{quoted(name)};" for name in triggers]
        if tables:
            over = ", ".join(
                f"{quoted(move.source)}.{quoted(name)} TO {quoted(move.target)}.{quoted(name)}" for name in tables
            )
            statements.append(f"RENAME TABLE {over};")
        await self.run("\n".join(statements))
        await self._client(base64.b64decode(move.objects), move.target, None)
        await self.drop(move.source)

    async def _describe(self, name: str) -> bytes:
        """Return the statements that make anew what does not go over with the tables; views last, as they use both."""
        programs = await self._dumped([*_PROGRAMS, "--", name])
        views = await self._names("views", "table", name)
        return programs + (await self._dumped(["--skip-triggers", "--", name, *views]) if views else b"")

    async def _dumped(self, arguments: Sequence[str]) -> bytes:
        path: Path = self.ctx.scratch / "objects"
        argv = [self.login.dumper, *self.login.arguments, *_OBJECT_OPTIONS, *arguments]
        with path.open("wb") as out:
            self.check(
                await self.ctx.program(
                    [*self.login.prefix, *argv], env=self.login.env, pass_fds=self.login.fds, stdout_to=out.fileno()
                )
            )
        return path.read_bytes()

    async def _names(self, kind: str, word: str, database: str, more: str = "") -> list[str]:
        lines = await self.ask(
            f"SELECT HEX({word}_name) FROM information_schema.{kind}"  # noqa: S608 - our own words
            f" WHERE {word}_schema = {literal(database)} {more} ORDER BY {word}_name"
        )
        return [bytes.fromhex(line.decode()).decode() for line in lines]

    async def _client(self, statements: bytes, database: str, stdout: int | None) -> None:
        self.check(
            await self.ctx.program(
                self._argv(database), env=self.login.env, pass_fds=self.login.fds, stdin=statements, stdout_to=stdout
            )
        )

    def _argv(self, database: str) -> list[str]:
        argv = [*self.login.prefix, self.login.client, *self.login.arguments]
        argv += ["--batch", "--skip-column-names", "--binary-mode", "--default-character-set=utf8mb4"]
        argv += ["--max-allowed-packet=1G"]
        return [*argv, "--", database] if database else argv


def quoted(name: str) -> str:
    """Return a name as SQL wants it."""
    return "`" + name.replace("`", "``") + "`"


def literal(text: str) -> str:
    """Return a text as SQL wants it, in whatever mode the server is."""
    return f"CONVERT(0x{text.encode().hex()} USING utf8mb4)" if text else "''"


def _with(moves: Moves, number: int, move: Move) -> Moves:
    changed = (*moves.moves[:number], move, *moves.moves[number + 1 :])
    return moves.model_copy(update={"moves": changed})
