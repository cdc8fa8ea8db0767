"""What an engine has of projects: their containers, known by the labels that Compose gives them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pilotage_plugin_api import TargetFailed

from pilotage_plugins.container.naming import name_in_list

if TYPE_CHECKING:
    from pilotage_plugins.container.engine import Engine

PROJECT: Final = "com.docker.compose.project"
SERVICE: Final = "com.docker.compose.service"
_HASH: Final = "com.docker.compose.config-hash"
_ONE_OFF: Final = "com.docker.compose.oneoff"
_DIRECTORY: Final = f"{PROJECT}.working_dir"
_FILES: Final = f"{PROJECT}.config_files"


@dataclass(frozen=True, slots=True)
class Member:
    """One container of a project. `state` is the engine's: running, exited, created, …; `status` is for people."""

    id: str
    name: str
    service: str
    hash: str
    image: str
    image_id: str
    state: str
    status: str

    @property
    def running(self) -> bool:
        """Whether it runs, paused or restarting included."""
        return self.state in ("running", "paused", "restarting")


@dataclass(frozen=True, slots=True)
class Standing:
    """One project as it stands. `directory` and `files` are where its containers were made from, as far as known."""

    project: str
    directory: str
    files: tuple[str, ...]
    members: tuple[Member, ...]

    @property
    def services(self) -> Mapping[str, tuple[Member, ...]]:
        """The containers by service."""
        names = sorted({one.service for one in self.members})
        return {name: tuple(one for one in self.members if one.service == name) for name in names}


async def projects(engine: "Engine") -> dict[str, Standing]:
    """Return every project that has containers, by name."""
    grouped: dict[str, list[dict[str, Any]]] = {}
    for one in await engine.containers(labels=[PROJECT]):
        grouped.setdefault(one["Labels"][PROJECT], []).append(one)
    return {name: _standing(name, found) for name, found in sorted(grouped.items())}


async def standing(engine: "Engine", project: str) -> Standing:
    """Return a project; one that is not there has no members."""
    return _standing(project, await engine.containers(labels=[f"{PROJECT}={project}"]))


def must_be_here(now: Standing, directory: str) -> None:
    """Refuse a project of the same name that was made from another folder; raises TargetFailed."""
    if now.members and now.directory and now.directory.rstrip("/") != directory.rstrip("/"):
        raise TargetFailed(
            f"there is a project {now.project} already, from {now.directory}: give this one another name, by `project`,"
            " or take that one down before"
        )


def _standing(project: str, found: list[dict[str, Any]]) -> Standing:
    labels = found[0]["Labels"] if found else {}
    members = [
        Member(
            id=one["Id"],
            name=name_in_list(one),
            service=one["Labels"].get(SERVICE, ""),
            hash=one["Labels"].get(_HASH, ""),
            image=one["Image"],
            image_id=one["ImageID"],
            state=one["State"],
            status=one["Status"],
        )
        for one in found
        if one["Labels"].get(_ONE_OFF, "False").lower() != "true"
    ]
    return Standing(
        project=project,
        directory=labels.get(_DIRECTORY, ""),
        files=tuple(path for path in labels.get(_FILES, "").split(",") if path),
        members=tuple(sorted(members, key=lambda one: (one.service, one.name))),
    )
