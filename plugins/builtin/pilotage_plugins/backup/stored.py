"""The stored copy of a database: found in the repository, and streamed out of it."""

from collections.abc import Sequence
from dataclasses import dataclass

from pilotage_plugin_api import StepContext, StepError, StepFailed, TargetFailed

from pilotage_plugins.backup.manifests import fetch_manifest
from pilotage_plugins.backup.repository import masked
from pilotage_plugins.backup.restic import Restic
from pilotage_plugins.backup.server import Database, Engine
from pilotage_plugins.backup.snapshots import Snapshot, find_data, is_whole
from pilotage_plugins.tree.manifest import read_manifest

PATHS_NAMED = 10


@dataclass(frozen=True, slots=True)
class StoredCopy:
    """A whole copy in a snapshot: a `DumpSource`. `size` in bytes and `sha256` are what was put in."""

    restic: Restic
    snapshot: Snapshot
    size: int
    sha256: str

    @property
    def path(self) -> str:
        """Its path in the snapshot."""
        return self.snapshot.paths[0]

    async def write(self, ctx: StepContext, sink: int) -> str:
        """Let restic write it to a descriptor."""
        await self.restic.run("reading the database's copy", "dump", self.snapshot.id, self.path, stdout_to=sink)
        return ""

    def check(self, size: int, sha256: str, tail: bytes, said: str) -> StepError | None:
        """See that what came out is what was put in."""
        if (size, sha256) == (self.size, self.sha256):
            return None
        return StepFailed(
            f"snapshot {self.snapshot.id} gives {size} bytes of {self.path!r} that are not the {self.size} that were"
            " backed up: check the repository with backup.verify, and choose another snapshot"
        )

    def report(self, ctx: StepContext, size: int) -> None:
        """Tell how far it is."""
        ctx.progress(size / self.size if self.size else None, f"{size // 1_000_000} MB of {self.size // 1_000_000} MB")


def choose(
    data: Sequence[Snapshot], notes: Sequence[Snapshot], wanted: str, path: str, engine: Engine, host: str
) -> Snapshot:
    """Return the snapshot with this id or beginning of one, or with `latest` the newest whole copy of the host that
    was stored under this path.

    Raises StepFailed when there is none, when it is cut off, and when it holds anything but a database of the engine.
    """
    if wanted == "latest":
        copies = [one for one in data if one.host == host and one.engine is not None]
        found = [one for one in copies if one.paths == (path,) and is_whole(one, notes)]
        if not found:
            there = sorted({one.paths[0] for one in copies if one.paths[0] != path and is_whole(one, notes)})
            named = f"; there are {', '.join(map(repr, there[:PATHS_NAMED]))}: name one as `source`" if there else ""
            raise StepFailed(f"there is no whole copy of the database {path!r} of {host}{named}")
        chosen = found[-1]
    else:
        found = [one for one in data if one.id.startswith(wanted)]
        if len(found) != 1:
            how_many = f"{len(found)} snapshots begin" if found else "no snapshot begins"
            raise StepFailed(f"{how_many} with {wanted}: see backup.list")
        chosen = found[0]
    if chosen.engine is None:
        raise StepFailed(
            f"snapshot {chosen.id} holds files ({', '.join(chosen.paths[:3])}) and no database: restore it with"
            " backup.restore"
        )
    if _family(chosen.engine) != _family(engine):
        raise StepFailed(f"snapshot {chosen.id} holds a database of {chosen.engine}, which {engine} cannot load")
    if not is_whole(chosen, notes):
        raise StepFailed(f"snapshot {chosen.id} is cut off, as its backup did not come to its end: choose another one")
    return chosen


async def find_stored(
    ctx: StepContext, restic: Restic, wanted: str, path: str, database: Database, host: str
) -> StoredCopy:
    """Return the copy that is to be loaded; raises StepFailed when there is none such."""
    data, notes = await find_data(restic, host if wanted == "latest" else None)
    snapshot = choose(data, notes, wanted, path, database.engine, host)
    manifest = ctx.scratch / "manifest"
    if not await fetch_manifest(restic, snapshot, notes, manifest):
        raise TargetFailed(f"the manifest of snapshot {snapshot.id} is gone from {masked(restic.params.repository)}")
    [entry] = list(read_manifest(manifest))
    return StoredCopy(restic, snapshot, entry.size, entry.sha256)


def _family(engine: str) -> str:
    return "mysql" if engine in (Engine.MYSQL, Engine.MARIADB) else str(engine)
