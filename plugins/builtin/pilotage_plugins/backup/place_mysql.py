"""The place of a MySQL or MariaDB database: loaded into a new database beside it, whose content is then moved there."""

import asyncio
from dataclasses import dataclass
from typing import Final

from pilotage_plugin_api import ProgramResult, Refused, StepContext, TargetFailed

from pilotage_plugins.backup.dump import Dump
from pilotage_plugins.backup.mysql_moves import Moves, MysqlServer
from pilotage_plugins.backup.place import Placed, PlacedNote, Wish, before, beside
from pilotage_plugins.backup.pouring import pour
from pilotage_plugins.backup.server import Database, Login
from pilotage_plugins.backup.stored import StoredCopy
from pilotage_plugins.backup.target import TargetWas
from pilotage_plugins.container.way_back import whatever_comes
from pilotage_plugins.note import owed, shelf
from pilotage_plugins.snapshot.thread import unstoppable

DEBT: Final = "databases"

NAME_BYTES: Final = 64


@dataclass(frozen=True, slots=True)
class MysqlPlace:
    """A database of a running server (see `place.Place`). The server gives databases no number: the identity is the
    name under which it was loaded, and what a note says of it."""

    ctx: StepContext
    database: Database
    login: Login
    attempt: str
    wish: Wish

    async def look(self) -> TargetWas:
        """Ask for the database, and for what is in it."""
        server, name = self._server(), self.database.name
        if not await server.exists(name):
            return TargetWas.MISSING
        return TargetWas.EMPTY if await server.is_empty(name) else TargetWas.OCCUPIED

    async def load(self, copy: StoredCopy) -> None:
        """Make a database, and let the client fill it."""
        server, own = self._server(), beside(self.attempt)
        await server.create(own, like=self.database.name if await server.exists(self.database.name) else None)

        async def restore(ctx: StepContext, source: int) -> ProgramResult:
            return await server.load(ctx, source, own)

        server.check(await pour(self.ctx, Dump(self.ctx, copy), restore))

    async def put(self, was: TargetWas) -> Placed:
        """Move what is there away and what was loaded there; once begun, that is gone on with until it is done."""
        server, name, own = self._server(), self.database.name, beside(self.attempt)
        if was is TargetWas.OCCUPIED and (users := await server.sessions(name)):
            raise TargetFailed(
                f"{users} session(s) use the database {name!r}: stop what uses it, and start the step again"
            )
        previous = before(name, self.attempt, NAME_BYTES) if was is TargetWas.OCCUPIED else None
        moves = [await server.move(name, previous)] if previous else []
        moves.append(await server.move(own, name))
        drop = previous if not self.wish.keep_previous else None
        kept = previous if self.wish.keep_previous else None
        placed = Placed(identity=own, previous=kept, target_was=was)
        await shelf.write(self.attempt, PlacedNote(placed=placed))
        await self._owe(Moves(moves=tuple(moves), then_drop=drop))
        return placed

    async def tidy(self) -> str:
        """Go on with moves that have begun; otherwise drop what was loaded beside the place."""
        begun = await asyncio.to_thread(owed.find, DEBT, self.attempt, Moves)
        if begun is not None:
            await self._owe(begun)
            return f"went on putting the loaded database into the place of {self.database.name!r}, and finished that"
        server, own = self._server(), beside(self.attempt)
        if not await server.exists(own):
            return ""
        await server.drop(own)
        await asyncio.to_thread(shelf.forget, self.attempt)
        return f"dropped the database {own}, which was loaded only in part or had not taken its place"

    async def placed(self) -> Placed | None:
        """Ask the note: it stays only when the moves were begun, and moves that were begun are finished."""
        note = await asyncio.to_thread(shelf.find, self.attempt, PlacedNote)
        server = self._server()
        if note is None or await server.exists(beside(self.attempt)) or not await server.exists(self.database.name):
            return None
        return note.placed

    async def take_back(self, placed: Placed) -> None:
        """Move the restored content away and what was there back; then drop the restored."""
        server, name = self._server(), self.database.name
        debt = f"{placed.identity}/undo"
        begun = await asyncio.to_thread(owed.find, DEBT, debt, Moves)
        if begun is None:
            if placed.previous is None and placed.target_was is TargetWas.OCCUPIED:
                raise Refused(f"what was in {name!r} was not kept (keep_previous: false), so it cannot be put back")
            if placed.previous and not await server.exists(placed.previous):
                return  # it is back already
            if not await server.exists(name):
                return
            if users := await server.sessions(name):
                raise TargetFailed(f"{users} session(s) use the database {name!r}: stop what uses it, then try again")
            moves = [await server.move(name, placed.identity)]
            moves += [await server.move(placed.previous, name)] if placed.previous else []
            begun = Moves(moves=tuple(moves), then_drop=placed.identity)
        await self._owe(begun, debt)
        if placed.target_was is TargetWas.EMPTY and not await server.exists(name):
            await server.create(name)

    async def _owe(self, moves: Moves, debt: str = "") -> None:
        """Carry the moves out to their end, whatever comes meanwhile; a note holds on to how far they are."""
        key = debt or self.attempt

        async def keep(so_far: Moves) -> None:
            await owed.write(DEBT, key, so_far)

        async def to_the_end() -> None:
            await keep(moves)
            await self._server(unstoppable(self.ctx)).carry_out(moves, keep)
            await asyncio.to_thread(owed.settle, DEBT, key)

        await whatever_comes(to_the_end())

    def _server(self, ctx: StepContext | None = None) -> MysqlServer:
        return MysqlServer(ctx or self.ctx, self.database, self.login)
