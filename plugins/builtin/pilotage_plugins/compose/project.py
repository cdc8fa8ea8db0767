"""Which project a step means: its folder, its files or their text, and what is put into them."""

import re
from pathlib import Path
from typing import Annotated, Final, Self

from pilotage_plugin_api import BlueprintFile, SecretRef, TargetFailed
from pydantic import AfterValidator, Field, model_validator

from pilotage_plugins.command.program import AbsolutePath
from pilotage_plugins.container.connection import EngineParams

TEXT_LIMIT: Final = 192 * 1024

DEFAULT_FILES: Final = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
"""What Compose looks for when it is told no file, first one first. It would also look in the folders above, so a
project is never left to search for itself."""

_NOT_OURS: Final = re.compile(r"^(COMPOSE|DOCKER|PILOTAGE|BUILDKIT|BUILDX)_|^(PATH|HOME|LD_.*)$")


def _variable(name: str) -> str:
    if _NOT_OURS.match(name):
        raise ValueError(f"{name} steers the programs themselves, not the compose file: use the step's parameters")
    return name


ProjectName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=100)]
ServiceName = Annotated[str, Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9._-]*$", max_length=100)]
ProfileName = Annotated[str, Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_.-]*$", max_length=100)]
FileName = Annotated[str, Field(pattern=r"^[^-\x00][^\x00]*$", max_length=4000)]
Variable = Annotated[
    str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=200), AfterValidator(_variable)
]  # fmt: skip
Value = Annotated[SecretRef | str, Field(union_mode="left_to_right")]


Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class ProjectParams(EngineParams):
    """A project, by its files on the host or by the text of its file in the blueprint."""

    directory: AbsolutePath = Field(description="The project's folder on the host; relative paths start there")
    files: tuple[FileName, ...] = Field(
        (), max_length=20, description="Its compose files, as paths or names in the folder; the later ones win"
        " (compose.yaml or docker-compose.yml, and the override file beside it)",
    )  # fmt: skip
    text: str | None = Field(
        None, min_length=1, max_length=TEXT_LIMIT, description="The compose file itself, instead of files"
    )
    file: BlueprintFile | None = Field(None, description="A file of the blueprint that is the compose file instead")
    project: ProjectName | None = Field(
        None, description="The project's name (`name` in the file, else the folder's name)"
    )
    profiles: tuple[ProfileName, ...] = Field((), max_length=50, description="Profiles that are switched on")
    env: dict[Variable, Value] = Field(
        default_factory=dict,
        description="Variables that the file names as ${VARIABLE}. The value secret://NAME stands for that secret",
    )
    env_files: tuple[FileName, ...] = Field(
        (), max_length=20, description="Files with more variables, as paths or names in the folder (.env)"
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if sum((self.text is not None, self.file is not None, bool(self.files))) > 1:
            raise ValueError("give only one of files, text, file")
        return self

    @property
    def source(self) -> str | None:
        """The text of the compose file when the blueprint has it; None when it lies on the host."""
        return self.text if self.file is None else self.file.text

    def compose_files(self) -> tuple[str, ...]:
        """Return the paths of its files, none when the blueprint has the text. Blocking.

        Raises TargetFailed for what is not there.
        """
        folder = Path(self.directory)
        if self.source is not None:
            return ()
        if not folder.is_dir():
            raise TargetFailed(f"there is no folder {self.directory!r} on this host, so no project in it")
        paths = [folder / name for name in self.files] or found_in(folder)
        if missing := [str(path) for path in paths if not path.is_file()]:
            raise TargetFailed(f"there is no file {', '.join(map(repr, missing))} on this host")
        return tuple(map(str, paths))

    def variable_files(self) -> tuple[str, ...]:
        """Return the paths of its files of variables; raises TargetFailed for one that is not there. Blocking."""
        paths = [Path(self.directory, name) for name in self.env_files]
        if missing := [str(path) for path in paths if not path.is_file()]:
            raise TargetFailed(f"there is no file {', '.join(map(repr, missing))} on this host")
        return tuple(map(str, paths))


def found_in(folder: Path) -> list[Path]:
    """Return the files that Compose would take in this folder; raises TargetFailed without any."""
    for name in DEFAULT_FILES:
        if (folder / name).is_file():
            stem, _, suffix = name.rpartition(".")
            overrides = [folder / f"{stem}.override.{each}" for each in (suffix, "yml", "yaml")]
            return [folder / name, *[path for path in overrides if path.is_file()][:1]]
    raise TargetFailed(f"there is no compose file in {str(folder)!r}: none of {', '.join(DEFAULT_FILES)}")


class PlannedProjectParams(ProjectParams):
    """A project that somebody may have seen before."""

    expect_sha256: Sha256 | None = Field(
        None, description="The `sha256` of compose.config: nothing is changed when the files come to something else now"
    )
