"""What is remembered of a project: the configurations that it had, and what a step run found when it began.

Containers do not tell what they were made from, so each configuration is noted before it is brought up. Secrets are
not in it: where one stood, the note names the variable and the reference. Notes lie where only root can read them.
"""

import asyncio
from collections.abc import Mapping
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from pilotage_plugins.compose.definition import Definition
from pilotage_plugins.compose.standing import Standing
from pilotage_plugins.note import shelf

MOST_KNOWN: Final = 5


class Configuration(BaseModel):
    """A resolved project, enough to bring it up again. `references` are the images by service, as the file names them;
    `images` says which image each of them meant then, by id."""

    model_config = ConfigDict(frozen=True)

    project: str
    directory: str
    text: str
    secrets: dict[str, str]
    hashes: dict[str, str]
    references: dict[str, str]
    images: dict[str, str] = Field(default_factory=dict)

    @classmethod
    def of(cls, wanted: Definition) -> "Configuration":
        """Return what is noted of a definition."""
        return cls(
            project=wanted.project,
            directory=wanted.directory,
            text=wanted.text,
            secrets=dict(wanted.secrets),
            hashes=wanted.hashes,
            references={name: service.image for name, service in wanted.services.items()},
        )

    def as_it_stands(self, now: Standing) -> "Configuration":
        """Return it with the images that the project's containers were really made of."""
        images = {self.references[one.service]: one.image_id for one in now.members if one.service in self.references}
        return self.model_copy(update={"images": images})


class Known(BaseModel):
    """The configurations of one project, newest first."""

    configurations: list[Configuration] = Field(default_factory=list)


class Found(BaseModel):
    """A service before a step run: its containers, and whether any of them ran."""

    ids: list[str]
    running: bool


class Begun(BaseModel):
    """What a step run found before its first attempt changed anything.

    `previous` is None when there was no such project (`services` is empty then), or nobody knows its configuration
    (then `unknown` says why). `wanted` are the services that were to be there afterwards; `networks` and `volumes`
    those of the project that were not there before. `images` is what its references meant, by id, when the first
    attempt had them all on the host: a way back may make them mean older ones again. `taken_back` is the attempt that
    was cut off, and after which all of this was brought back; empty when there was none.
    """

    project: str
    previous: Configuration | None
    unknown: str = ""
    services: dict[str, Found]
    wanted: list[str]
    networks: list[str] = Field(default_factory=list)
    volumes: list[str] = Field(default_factory=list)
    images: dict[str, str] = Field(default_factory=dict)
    taken_back: str = ""

    @property
    def has_way_back(self) -> bool:
        """Whether what was found can be brought back, as far as that can be known now."""
        return self.previous is not None or not self.services


def owner_of(socket: str, project: str) -> str:
    """Return the name under which a project's configurations are kept."""
    return f"compose project {project} at {socket}"


async def remember(socket: str, wanted: Configuration) -> None:
    """Note a configuration as the newest of its project."""
    owner = owner_of(socket, wanted.project)
    known = await asyncio.to_thread(shelf.find, owner, Known) or Known()
    others = [one for one in known.configurations if one.hashes != wanted.hashes]
    await asyncio.to_thread(shelf.keep, owner, Known(configurations=[wanted, *others][:MOST_KNOWN]))


async def known_of(socket: str, project: str) -> list[Configuration]:
    """Return the configurations that were noted of a project, newest first."""
    known = await asyncio.to_thread(shelf.find, owner_of(socket, project), Known)
    return known.configurations if known else []


def found(now: Standing) -> dict[str, Found]:
    """Return what is to be noted of a project's services."""
    return {
        name: Found(ids=[one.id for one in members], running=any(one.running for one in members))
        for name, members in now.services.items()
    }


def is_of(now: Standing, known: Mapping[str, str]) -> bool:
    """Whether a configuration, given by its hashes, is what the project's containers were made from.

    Containers of services that it does not have are left over from another one, and say nothing.
    """
    described = [one for one in now.members if one.service in known]
    return bool(described) and all(one.hash == known[one.service] for one in described)


async def begun_by(step_run: str) -> Begun | None:
    """Return what a step run noted when it began."""
    return await asyncio.to_thread(shelf.find, step_run, Begun)


async def note_begin(step_run: str, begun: Begun) -> None:
    """Note it, durably, before anything is changed."""
    await shelf.write(step_run, begun)
