"""`discovery.data`: which folders and databases a host holds."""

import asyncio
import os
import shutil
import stat
from enum import StrEnum
from itertools import pairwise
from pathlib import Path

from pilotage_plugin_api import Effect, StepContext, StepFailed, StepOutputs, StepParams, StepType, TargetFailed
from pydantic import Field

from pilotage_plugins.backup.parameters import PlainPath
from pilotage_plugins.backup.sqlite_copy import companions, is_sqlite
from pilotage_plugins.discovery.docker_volumes import DockerVolumes, find_docker_volumes
from pilotage_plugins.discovery.servers import find_databases, servers_in_containers, servers_on_sockets
from pilotage_plugins.discovery.users import containers_writing_to
from pilotage_plugins.tree.exclusion import Exclusion
from pilotage_plugins.tree.walk import Found, Walk, path_key

UNREADABLE_NAMED = 20


class Kind(StrEnum):
    """What can be looked for."""

    VOLUMES = "volumes"
    DOCKER_VOLUMES = "docker_volumes"
    DATABASES = "databases"
    SERVERS = "servers"
    CONTAINERS = "containers"


class DiscoveryDataParams(StepParams):
    """Where to look."""

    roots: tuple[PlainPath, ...] = Field(
        max_length=100, description="Folders, each a volume; none, when only Docker's volumes or servers are wanted"
    )
    kinds: tuple[Kind, ...] = Field(
        (Kind.VOLUMES, Kind.DATABASES),
        min_length=1,
        description="volumes: the roots; docker_volumes: the named volumes of its Docker Engine, where it has one;"
        " databases: SQLite files in these; servers: databases of the host's servers; containers: databases of servers"
        " in running containers",
    )
    sockets: tuple[PlainPath, ...] = Field(
        ("/run/postgresql", "/run/mysqld"), max_length=20, description="Folders where servers have their sockets"
    )
    exclude: tuple[str, ...] = Field((), max_length=200, description="Patterns, as in backup.create")
    scratch: PlainPath | None = Field(
        None, description="A folder whose free space is told, too: where `restore.drill` will restore to"
    )
    max_entries: int = Field(5_000_000, ge=1, description="More entries than this in all fail the step")


class Volume(StepOutputs):
    """A folder. `name` is unique on the host; that of a Docker volume begins with `docker/`. `bytes` counts hard-linked
    files once. `containers` may write to it, as far as the Docker Engine of the host tells: for `quiesce` of
    `backup.create`. `exclude` names the databases in it, with their journals, for a backup that leaves them to
    `backup.database`."""

    name: str
    path: str
    bytes: int
    files: int
    containers: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


class Database(StepOutputs):
    """A database, as `backup.database` takes it. `path`: its file, or the socket of its server, which may run in a
    `container` instead. `name` is unique among the files; two servers may hold databases of one name."""

    engine: str
    name: str
    path: str | None
    bytes: int
    container: str | None = None


class DiscoveryDataOutputs(StepOutputs):
    """What was found, in the order of paths. `unreadable`: what could not be looked into (the first twenty), and Docker
    volumes that lie in no folder of the host.
    `scratch_free_bytes`: room where steps work, for copies of SQLite files; `restore_free_bytes`: room in `scratch`,
    or the same where none was named."""

    volumes: tuple[Volume, ...]
    databases: tuple[Database, ...]
    unreadable: tuple[str, ...]
    scratch_free_bytes: int
    restore_free_bytes: int


class DiscoveryData(StepType[DiscoveryDataParams, DiscoveryDataOutputs]):
    """Find the data of a host: folders, Docker volumes, the SQLite databases in them, and those of servers.

    Reads the names and sizes of everything and the first bytes of every file. With the kind `servers`, PostgreSQL and
    MySQL servers on their sockets are asked for their databases, too; with `containers`, those in running containers
    whose image is one of such a server. One that does not answer stands in `unreadable`. With `docker_volumes`, an
    engine that is there and does not answer fails the step, so that no volume is forgotten; one that lies in a root is
    that root's.
    """

    name = "discovery.data"
    effect = Effect.READ
    Params = DiscoveryDataParams
    Outputs = DiscoveryDataOutputs

    async def run(self, ctx: StepContext, params: DiscoveryDataParams) -> DiscoveryDataOutputs:
        """Walk every root."""
        docker = DockerVolumes({})
        if Kind.DOCKER_VOLUMES in params.kinds:
            docker = await find_docker_volumes(ctx)
        found = await asyncio.to_thread(_Search(ctx, params, docker).run)
        if found.volumes:
            users = await containers_writing_to(ctx, [volume.path for volume in found.volumes])
            volumes = [one.model_copy(update={"containers": users.get(one.path, ())}) for one in found.volumes]
            found = found.model_copy(update={"volumes": tuple(volumes)})
        servers = await asyncio.to_thread(servers_on_sockets, params.sockets) if Kind.SERVERS in params.kinds else []
        servers += await servers_in_containers(ctx) if Kind.CONTAINERS in params.kinds else []
        told, silent = await find_databases(ctx, servers)
        databases = [
            Database(
                engine=one.server.engine,
                name=one.name,
                path=one.server.socket,
                container=one.server.container,
                bytes=one.bytes,
            )
            for one in told
        ]
        return found.model_copy(
            update={
                "databases": (*found.databases, *databases),
                "unreadable": (*found.unreadable, *silent)[:UNREADABLE_NAMED],
            }
        )


class _Search:
    """One search; blocking, in a thread."""

    def __init__(self, ctx: StepContext, params: DiscoveryDataParams, docker: DockerVolumes) -> None:
        self._ctx = ctx
        self._params = params
        self._docker = docker
        self._entries = 0
        self._unreadable: list[str] = list(docker.left_out)
        self._databases: list[Database] = []

    def run(self) -> DiscoveryDataOutputs:
        roots = _checked_roots(self._params.roots)
        names = _unique_names(roots)
        docker = self._docker_names(roots)
        volumes = [self._look_into(root, names[root]) for root in roots]
        more = [self._look_into(root, docker[root]) for root in _checked_roots(tuple(map(os.fsdecode, docker)))]
        return DiscoveryDataOutputs(
            volumes=(*(volumes if Kind.VOLUMES in self._params.kinds else ()), *more),
            databases=tuple(self._databases) if Kind.DATABASES in self._params.kinds else (),
            unreadable=tuple(self._unreadable[:UNREADABLE_NAMED]),
            scratch_free_bytes=_free(str(self._ctx.scratch)),
            restore_free_bytes=_free(self._params.scratch or str(self._ctx.scratch)),
        )

    def _docker_names(self, roots: list[bytes]) -> dict[bytes, str]:
        """Name the folders of Docker volumes: those that no root holds, and two volumes of one folder once."""
        names: dict[bytes, str] = {}
        for name, folder in self._docker.folders.items():
            path = os.fsencode(folder)
            if any(_holds(root, path) for root in (*roots, *names)):
                continue
            if inner := [os.fsdecode(root) for root in roots if _holds(path, root)]:
                raise TargetFailed(f"{inner[0]!r} lies in the Docker volume {name}: name {folder!r} as a root instead")
            names[path] = f"docker/{name}"
        return names

    def _look_into(self, root: bytes, name: str) -> Volume:
        files = size = 0
        linked: set[int] = set()
        databases: list[str] = []
        walk = Walk(
            root,
            exclusion=Exclusion(self._params.exclude),
            checkpoint=self._ctx.checkpoint,
            unreadable=lambda path, error: self._unreadable.append(f"{os.fsdecode(path)!a}: {error.strerror}"),
        )
        for found in walk.entries():
            self._count()
            if not stat.S_ISREG(found.stat.st_mode):
                continue
            files += 1
            if found.stat.st_nlink == 1 or found.stat.st_ino not in linked:
                size += found.stat.st_size
            if found.stat.st_nlink > 1:
                linked.add(found.stat.st_ino)
            if path := self._database(found, root, name):
                databases += [path, *companions(path)]
        self._ctx.log(f"{os.fsdecode(root)!a}: {files} files, {size} bytes")
        return Volume(
            name=name, path=os.fsdecode(root), bytes=size, files=files, exclude=tuple(map(_literal, databases))
        )

    def _count(self) -> None:
        self._entries += 1
        if self._entries > self._params.max_entries:
            raise StepFailed(
                f"there are more than {self._params.max_entries} entries: narrow roots, or raise max_entries"
            )

    def _database(self, found: Found, root: bytes, volume: str) -> str | None:
        """Note the file if it is a SQLite database; returns its path."""
        try:
            if not found.stat.st_size or not is_sqlite(found.path):
                return None
            path = found.path.decode()
        except UnicodeDecodeError:
            self._unreadable.append(f"{os.fsdecode(found.path)!a}: a database whose path is not UTF-8; rename it")
            return None
        except OSError as error:
            self._unreadable.append(f"{os.fsdecode(found.path)!a}: {error.strerror}")
            return None
        inside = path[len(os.fsdecode(root).rstrip("/")) + 1 :] or Path(path).name
        self._databases.append(
            Database(engine="sqlite", name=f"{volume}/{inside}", path=path, bytes=found.stat.st_size)
        )
        return path


def _holds(outer: bytes, inner: bytes) -> bool:
    return inner == outer or inner.startswith(outer.rstrip(b"/") + b"/")


def _free(folder: str) -> int:
    try:
        return shutil.disk_usage(folder).free
    except OSError as error:
        raise TargetFailed(f"cannot say what is free in {folder!r}: {error.strerror}") from error


def _checked_roots(roots: tuple[str, ...]) -> list[bytes]:
    """Return the roots in walk order; raises TargetFailed for one that is not there, is a link, or lies in another."""
    for root in roots:
        try:
            mode = os.lstat(root).st_mode
        except OSError as error:
            raise TargetFailed(f"cannot look into {root!r}: {error.strerror}") from error
        if not stat.S_ISDIR(mode):
            raise TargetFailed(
                f"{root!r} is no folder" + (f"; name {os.path.realpath(root)!r}" if stat.S_ISLNK(mode) else "")
            )
    ordered = sorted({os.fsencode(root) for root in roots}, key=path_key)
    for outer, inner in pairwise(ordered):
        if _holds(outer, inner):
            raise TargetFailed(f"{os.fsdecode(inner)!r} lies in {os.fsdecode(outer)!r}: name only the outer one")
    return ordered


def _unique_names(roots: list[bytes]) -> dict[bytes, str]:
    """Name each root by its last part, or by its whole path with dashes where two share that."""
    last = {root: os.fsdecode(root).rstrip("/").rpartition("/")[2] or "root" for root in roots}
    shared = list(last.values())
    return {
        root: name if shared.count(name) == 1 else os.fsdecode(root).strip("/").replace("/", "-")
        for root, name in last.items()
    }


def _literal(path: str) -> str:
    """Return the exclusion pattern that matches exactly this path."""
    return "".join(f"[{character}]" if character in "*?[" else character for character in path)
