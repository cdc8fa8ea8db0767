"""Which repository, and how to open it: the parameters that every verb of the plugin shares."""

import os
import re
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

from pilotage_plugin_api import Duration, SecretRef, StepParams
from pydantic import Field, StringConstraints, field_validator

_PASSWORD_IN_URL: Final = re.compile(r"//[^/@\s:]*:[^/@\s]*@")
_BACKEND_VARIABLE: Final = r"^(AWS|B2|AZURE|GOOGLE|OS|ST|RCLONE|RESTIC_REST|RESTIC_AWS)_[A-Z0-9_]+$"

BackendVariable = Annotated[str, StringConstraints(pattern=_BACKEND_VARIABLE)]


class Unlock(StrEnum):
    """Which locks that are in the way may be removed.

    `own`: those of this host whose process is gone. `expired`: also anybody's that was not renewed for half an hour
    (a living restic renews its lock every five minutes). `never`: none.
    """

    OWN = "own"
    EXPIRED = "expired"
    NEVER = "never"


class RepositoryParams(StepParams):
    """A restic repository and its password."""

    repository: str = Field(
        min_length=1,
        max_length=4096,
        description="A folder, sftp:user@host:/path, rest:https://host/, s3:..., or secret://name of a secret that"
        " holds the address",
        json_schema_extra={"anyOf": [{"format": "pilotage-secret"}, {"type": "string"}]},
    )
    password: SecretRef = Field(description="The repository's password; it reaches restic through memory only")
    backend_secrets: dict[BackendVariable, SecretRef] = Field(
        default_factory=dict, description="Variables of restic's storage backends, such as AWS_SECRET_ACCESS_KEY"
    )
    backend: dict[BackendVariable, str] = Field(
        default_factory=dict, description="The same for what is no secret, such as AWS_DEFAULT_REGION"
    )
    cache: Path | None = Field(None, description="Folder for restic's cache (a remote repository gets one by default)")
    lock_wait: Duration = Field(timedelta(minutes=2), description="How long to wait while somebody else holds its lock")
    outage_wait: Duration = Field(
        timedelta(minutes=5), description="How long one request is tried again when the repository goes away meanwhile"
    )
    unlock: Unlock = Field(
        Unlock.OWN,
        description="Locks to remove: own (this host's whose process is gone), expired (also any not renewed for half"
        " an hour), never",
    )

    @field_validator("backend")
    @classmethod
    def _no_secret_in_plain(cls, backend: dict[str, str]) -> dict[str, str]:
        for variable in backend:
            if re.search(r"SECRET|PASSWORD|TOKEN|_KEY$|_PASS$", variable):
                raise ValueError(f"{variable} is a secret: store it, and name it in backend_secrets")
        return backend

    @field_validator("repository")
    @classmethod
    def _no_password_inside(cls, repository: str) -> str:
        if _PASSWORD_IN_URL.search(repository):
            raise ValueError("holds a password: store the whole address as a secret and write secret://NAME here")
        if "\n" in repository:
            raise ValueError("holds a line break")
        return repository

    @property
    def address_secret(self) -> SecretRef | None:
        """The secret that holds the address, when the address itself is one."""
        return SecretRef.parse(self.repository) if self.repository.startswith("secret://") else None

    @property
    def is_local(self) -> bool:
        """Whether it is a folder of this host, where a cache would only be a second copy."""
        return self.repository.startswith(("/", "./", "local:"))


def masked(text: str) -> str:
    """Return the text with passwords inside addresses replaced, for messages."""
    return _PASSWORD_IN_URL.sub("//***@", text)


def cache_arguments(params: RepositoryParams) -> list[str]:
    """Return restic's options for its cache: the folder asked for, none for a local repository, else a fixed one."""
    if params.cache:
        return ["--cache-dir", str(params.cache)]
    if params.is_local:
        return ["--no-cache"]
    base = (
        Path("/var/cache") if os.geteuid() == 0 else Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    )
    return ["--cache-dir", str(base / "pilotage" / "restic")]
