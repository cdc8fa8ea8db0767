"""What the values of a step may name on this host: folders and images, whatever coordinator and plan say. Pure but for
links, which are followed.

No step type is believed to say which of its parameters are paths: every text that begins with `/` is one.
"""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

_IMAGES: Final = ("image", "images")
_SHOWN: Final = 200


@dataclass(frozen=True, slots=True)
class AllowedValues:
    """`paths`: folders in which everything is that a value may name. `images`: patterns of images. None: any."""

    paths: tuple[str, ...] | None = None
    images: tuple[str, ...] | None = None

    @property
    def limit(self) -> bool:
        """Whether anything is limited."""
        return self.paths is not None or self.images is not None

    def refusal(self, values: Sequence[bytes]) -> str | None:
        """Return what is wrong with a step's values (JSON objects); None when nothing is. Follows links on the disk."""
        for data in values:
            try:
                given = json.loads(data or b"{}")
            except (ValueError, RecursionError):
                return "its values cannot be read, so this host cannot tell what they name"
            for name, text in _texts("", given):
                if why := self._path_refusal(text) or self._image_refusal(name, text):
                    return why
        return None

    def _path_refusal(self, text: str) -> str | None:
        if self.paths is None:
            return None
        if ".." in text.split("/"):
            return f"{text[:_SHOWN]!r} leads upward, and this host allows only the folders of allow_paths (agent.toml)"
        if not text.startswith("/"):
            return None
        real = os.path.realpath(text)
        if any(_is_below(real, os.path.realpath(folder)) for folder in self.paths):
            return None
        what = text if real == os.path.normpath(text) else f"{text} (which is {real})"
        return f"{what[:_SHOWN]} is not in what this host allows (agent.toml: allow_paths = {_listed(self.paths)})"

    def _image_refusal(self, name: str, text: str) -> str | None:
        if self.images is None or name not in _IMAGES or any(fnmatchcase(text, pattern) for pattern in self.images):
            return None
        return (
            f"the image {text[:_SHOWN]} is not one that this host allows"
            f" (agent.toml: allow_images = {_listed(self.images)})"
        )


ANY_VALUE: Final = AllowedValues()
"""Nothing is limited."""


def _texts(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """Yield every text inside a value, names of fields too, each with the name of the field that holds it."""
    waiting = [(name, value)]
    while waiting:
        name, each = waiting.pop()
        match each:
            case str():
                yield name, each
            case dict():
                for key, inner in each.items():
                    yield "", key
                    waiting.append((key, inner))
            case list():
                waiting += ((name, inner) for inner in each)


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _listed(allowed: Sequence[str]) -> str:
    return ", ".join(allowed) or "nothing"
