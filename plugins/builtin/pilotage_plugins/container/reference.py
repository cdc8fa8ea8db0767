"""References to images: what people write, and the one form that names exactly one image."""

import re
from typing import Any, Final

from pilotage_plugin_api import StepFailed

REFERENCE_PATTERN: Final = (
    r"^(?:[a-zA-Z0-9][a-zA-Z0-9.-]*(?::[0-9]+)?/)?[a-z0-9]+(?:[._/-]+[a-z0-9]+)*"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@sha256:[0-9a-f]{64})?$|^sha256:[0-9a-f]{64}$"
)
"""`name:tag`, `registry:5000/name`, `name@sha256:…`, or the id of a local image."""

_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}\Z")


def is_digest(reference: str) -> bool:
    """Whether the reference names exactly one image, for ever."""
    return bool(_DIGEST.search(reference))


def repository_of(reference: str) -> str:
    """Return the reference without tag and digest: `registry:5000/name`."""
    name = reference.partition("@")[0]
    head, colon, tag = name.rpartition(":")
    return head if colon and "/" not in tag else name


def registry_of(reference: str) -> str:
    """Return the registry that the engine asks for it: the first part if that is a host's name, else Docker Hub's."""
    head, slash, _ = reference.partition("/")
    return head if slash and (head == "localhost" or "." in head or ":" in head) else "docker.io"


def pinned(reference: str, image: dict[str, Any]) -> str:
    """Return `name@sha256:…` for a local image if a registry gave it a digest under that name, else its id."""
    if is_digest(reference) and "@" in reference:
        return f"{repository_of(reference)}@{reference.partition('@')[2]}"
    wanted = _familiar(repository_of(reference))
    for known in image.get("RepoDigests") or ():
        if _familiar(repository_of(known)) == wanted:
            return str(known)
    return str(image["Id"])


def digest_in(reference: str) -> str:
    """Return the digest of a pinned reference."""
    found = _DIGEST.search(reference)
    if not found:
        raise StepFailed(f"{reference} is not pinned to a digest")
    return found[0]


def _familiar(name: str) -> str:
    """Cut what the engine leaves out of the names of Docker Hub's images."""
    return name.removeprefix("docker.io/").removeprefix("library/")
