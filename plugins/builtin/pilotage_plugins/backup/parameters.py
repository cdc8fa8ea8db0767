"""Parameter types that several verbs of the plugin share."""

import os
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator

from pilotage_plugins.backup.snapshots import check_tag


class Compression(StrEnum):
    """How hard restic compresses."""

    AUTO = "auto"
    OFF = "off"
    MAX = "max"


def check_path(path: str) -> str:
    """Return an absolute path in its plain form; raises ValueError for any other."""
    if not path.startswith("/") or "\0" in path or os.path.normpath(path) != path or path.startswith("//"):
        raise ValueError(f"{path!r} is no plain absolute path (no `..`, no slash at the end)")
    return path


PlainPath = Annotated[str, AfterValidator(check_path)]
Tag = Annotated[str, AfterValidator(check_tag)]
