"""`restore.database`: a database back from a snapshot, as a database."""

import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final

from pilotage_plugin_api import (
    Action,
    Availability,
    Change,
    Effect,
    PluginApiError,
    Preview,
    ProbeAnswer,
    SecretRef,
    StepCancelled,
    StepContext,
    StepError,
    StepOutputs,
    TargetFailed,
)
from pydantic import AfterValidator, Field

from pilotage_plugins.backup import mysql, postgresql
from pilotage_plugins.backup.database import snapshot_path
from pilotage_plugins.backup.parameters import PlainPath
from pilotage_plugins.backup.place import Place, Placed, Wish
from pilotage_plugins.backup.place_mysql import MysqlPlace
from pilotage_plugins.backup.place_postgresql import PostgresPlace, check_name
from pilotage_plugins.backup.place_sqlite import SqlitePlace
from pilotage_plugins.backup.repository import RepositoryParams
from pilotage_plugins.backup.restic import ResticStepType, open_repository
from pilotage_plugins.backup.server import Database, Engine
from pilotage_plugins.backup.snapshots import check_snapshot_id
from pilotage_plugins.backup.stored import find_stored
from pilotage_plugins.backup.target import TargetWas
from pilotage_plugins.container.way_back import whatever_comes
from pilotage_plugins.snapshot.thread import unstoppable

POSTGRESQL_CLIENTS: Final = ("psql", "pg_restore")


class RestoreDatabaseParams(RepositoryParams):
    """Which copy, and which database it shall be."""

    database: Database = Field(description="What it shall be: it need not be called as it was, nor be where it was")
    credentials: SecretRef | None = Field(
        None, description="The database user's password; it reaches the client through memory only"
    )
    snapshot: Annotated[str, AfterValidator(check_snapshot_id)] = Field(
        "latest", description="An id, or latest: the newest whole copy of this database"
    )
    source: PlainPath | None = Field(
        None,
        description="With latest: the path of the copy, such as /postgresql-5432-shop.dump (that under which"
        " backup.database would store this database)",
    )
    host: str | None = Field(None, min_length=1, description="Whose `latest` (this host's)")
    overwrite: bool = Field(
        False, description="Put it in the place of a database that is not empty; without it, that stops the step"
    )
    keep_previous: bool = Field(
        True, description="Keep what was there under another name, NAME_before_…; without it, there is no undo"
    )
    owners: bool = Field(
        True,
        description="PostgreSQL: what was a role's belongs to it again, and rights are given as they were; the roles"
        " must be there. false: all belongs to the user who loads",
    )


class RestoreDatabaseOutputs(StepOutputs):
    """Which copy is now which database. `previous`: what was there, under its new name; None when nothing was, or it
    was not kept. `placed` feeds the undo. `bytes` of the copy; `duration_s` is None when a probe found it."""

    snapshot_id: str | None
    engine: str
    name: str
    previous: str | None
    bytes: int | None = None
    duration_s: float | None = None
    placed: Placed


class RestoreDatabase(ResticStepType[RestoreDatabaseParams, RestoreDatabaseOutputs]):
    """Restore a database from a snapshot of `backup.database` into its server, or to its file, ready to be asked.

    It is loaded beside its place first, straight out of the repository, and takes the place when it is whole and
    checked: what was there stays untouched until then. A database that is not empty is never replaced without
    `overwrite: true`; it is kept under another name, and an undo puts it back. Nobody may be using it then.
    """

    name = "restore.database"
    effect = Effect.PROBE
    destructive = True
    Params = RestoreDatabaseParams
    Outputs = RestoreDatabaseOutputs

    async def preview(self, ctx: StepContext, params: RestoreDatabaseParams) -> Preview:
        """Name the copy, and what is in its place; a server that is not there yet is no error."""
        async with open_repository(ctx, params, looking=True) as restic:
            copy = await find_stored(ctx, restic, params.snapshot, _source(params), params.database, _host(ctx, params))
        subject, note = _subject(params.database), f"from snapshot {copy.snapshot.id}"
        try:
            async with _place(ctx, params, ctx.attempt_key) as place:
                was = await place.look()
        except StepError as error:
            change = Change(action=Action.CREATE, subject=subject, note=note)
            return Preview(changes=(change,), complete=False, note=f"its place cannot be looked at: {error}"[:4096])
        if was is not TargetWas.OCCUPIED:
            return Preview(changes=(Change(action=Action.CREATE, subject=subject, note=note),))
        if not params.overwrite:
            note += "; refused, as there is such a database and it is not empty (overwrite: false)"
        else:
            note += "; what is there is kept" if params.keep_previous else "; what is there is dropped, for good"
        return Preview(changes=(Change(action=Action.UPDATE, subject=subject, note=note),))

    async def run(self, ctx: StepContext, params: RestoreDatabaseParams) -> RestoreDatabaseOutputs:
        """Look, load beside, look again, put it there; whatever fails leaves the place as it was."""
        started = time.monotonic()
        async with open_repository(ctx, params) as restic, _place(ctx, params, ctx.attempt_key) as place:
            _refuse(params, await place.look())
            copy = await find_stored(ctx, restic, params.snapshot, _source(params), params.database, _host(ctx, params))
            try:
                await place.load(copy)
                was = await place.look()
                _refuse(params, was)
                placed = await place.put(was)
            except BaseException as error:
                await whatever_comes(_back(ctx, params, error))
                raise
        return RestoreDatabaseOutputs(
            snapshot_id=copy.snapshot.id,
            engine=str(params.database.engine),
            name=params.database.name,
            previous=placed.previous,
            bytes=copy.size,
            duration_s=round(time.monotonic() - started, 3),
            placed=placed,
        )

    async def undo(self, ctx: StepContext, params: RestoreDatabaseParams, outputs: RestoreDatabaseOutputs) -> None:
        """Take it out of its place, and put back what was there."""
        async with _place(ctx, params, ctx.attempt_key) as place:
            await place.take_back(outputs.placed)

    async def recover(self, ctx: StepContext, params: RestoreDatabaseParams, key: str) -> str:
        """Remove what was loaded and had not taken its place."""
        async with _place(ctx, params, key) as place:
            return await place.tidy()

    async def probe(
        self, ctx: StepContext, params: RestoreDatabaseParams, key: str
    ) -> ProbeAnswer[RestoreDatabaseOutputs]:
        """Ask whether the attempt's database has taken its place."""
        async with _place(ctx, params, key) as place:
            placed = await place.placed()
        if placed is None:
            return ProbeAnswer.not_done("the attempt's database has not taken its place, which is as it was")
        outputs = RestoreDatabaseOutputs(
            snapshot_id=None if params.snapshot == "latest" else params.snapshot,
            engine=str(params.database.engine),
            name=params.database.name,
            previous=placed.previous,
            placed=placed,
        )
        return ProbeAnswer.done(outputs, "the database that the attempt loaded is in its place")

    async def available(self, ctx: StepContext) -> Availability:
        """Look for restic, and tell which engines' clients are there besides: SQLite needs none."""
        found = await super().available(ctx)
        engines = [
            "sqlite",
            *(engine.value for engine in (Engine.POSTGRESQL, Engine.MYSQL) if not _lacking(ctx, engine)),
        ]
        return replace(found, details={**found.details, "engines": engines}) if found.available else found


@asynccontextmanager
async def _place(ctx: StepContext, params: RestoreDatabaseParams, attempt: str) -> AsyncIterator[Place]:
    """Open the place as the attempt of this key sees it."""
    database, wish = params.database, Wish(params.owners, params.keep_previous)
    if not database.container and (lacking := _lacking(ctx, database.engine)):
        raise TargetFailed(
            f"{_subject(database)} cannot be restored, as there is no {' and no '.join(lacking)}. Install it on this"
            " host: apt-get install postgresql-client, or mariadb-client"
        )
    if database.engine is Engine.SQLITE:
        yield SqlitePlace(ctx, Path(str(database.path)), attempt, wish)
    elif database.engine is Engine.POSTGRESQL:
        check_name(database)
        async with postgresql.login(ctx, database, params.credentials) as login:
            yield PostgresPlace(ctx, database, login, attempt, wish)
    else:
        async with mysql.login(ctx, database, params.credentials) as login:
            yield MysqlPlace(ctx, database, login, attempt, wish)


async def _back(ctx: StepContext, params: RestoreDatabaseParams, error: BaseException) -> None:
    """Undo what the attempt has done until now. When that fails, too, `error` becomes one of an attempt that was cut
    off, so that the recovery tries it again."""
    calm = unstoppable(ctx)
    try:
        async with _place(calm, params, ctx.attempt_key) as place:
            ctx.log(await place.tidy())
            if placed := await place.placed():
                await place.take_back(placed)
    except StepError as problem:
        ctx.log(f"what was loaded could not be removed: {problem}")
        told = error if isinstance(error, PluginApiError) else StepCancelled("the attempt was stopped")
        told.cut_off = True
        raise told from error.__cause__


def _lacking(ctx: StepContext, engine: Engine) -> list[str]:
    """Return the programs that the engine needs and this host has not."""
    if engine is Engine.SQLITE:
        return []
    needed = POSTGRESQL_CLIENTS if engine is Engine.POSTGRESQL else mysql.programs_here(ctx.environment)
    return [name for name in needed if shutil.which(name, path=ctx.environment.get("PATH")) is None]


def _refuse(params: RestoreDatabaseParams, was: TargetWas) -> None:
    if was is TargetWas.OCCUPIED and not params.overwrite:
        raise TargetFailed(
            f"{_subject(params.database)} is there already, and not empty: restore under another name, or set"
            " overwrite: true to put the copy in its place"
        )


def _source(params: RestoreDatabaseParams) -> str:
    return params.source or snapshot_path(params.database)


def _host(ctx: StepContext, params: RestoreDatabaseParams) -> str:
    return params.host or ctx.host


def _subject(database: Database) -> str:
    if database.engine is Engine.SQLITE:
        return f"the SQLite database {database.path}"
    return f"the {database.engine} database {database.name!r} at {database.path or database.place}"
