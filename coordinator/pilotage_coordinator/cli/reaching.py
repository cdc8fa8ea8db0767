"""Which coordinator a command speaks to, and as whom: the options, then the environment, then a context by name.

A context stands in contexts.toml, so that nobody types addresses:

    [home]
    url = "https://control.example.org:7445"
    ca = "home-authority.pem"          # beside contexts.toml, or an absolute path
    token_file = "home.token"

A token comes from a file or from PILOTAGE_TOKEN, never from the command line, where every process could read it.
"""

import os
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from pilotage_client import PilotageClient
from pilotage_client.place import socket_path
from pilotage_client.transport import Transport

from pilotage_coordinator.cli.exits import NotUnderstood
from pilotage_coordinator.cli.settings import GlobalOptions

TOKEN: Final = "PILOTAGE_TOKEN"  # noqa: S105
FIELDS: Final = frozenset({"url", "ca", "token_file", "socket"})
LARGEST: Final = 4096
"""Bytes of a token file; a token is far shorter."""


@dataclass(frozen=True, slots=True)
class Way:
    """How a coordinator is reached: by its URL, or by its socket."""

    url: str = ""
    socket: Path | None = None
    token_file: Path | None = None
    ca: Path | None = None


def client_of(options: GlobalOptions, environment: Mapping[str, str] = os.environ) -> PilotageClient:
    """Return a client for what options and environment say; raises NotUnderstood where that makes no sense."""
    way = way_of(options)
    return PilotageClient(transport_of(way, token_of(way, environment)))


def transport_of(way: Way, token: str) -> Transport:
    """Return how a coordinator is spoken to; raises NotUnderstood for a URL without a token."""
    if not way.url:
        return Transport.over_socket(way.socket or socket_path(), token)
    if not token:
        raise NotUnderstood(
            f"{way.url} asks for an API token, and there is none",
            f"set {TOKEN}, or give --token-file FILE; `pilotage token create`, run by an owner, makes one",
        )
    return Transport.over_https(way.url, token, way.ca)


def way_of(options: GlobalOptions) -> Way:
    """Return how the coordinator is reached."""
    way = _context(options.context) if options.context else Way()
    if options.url and options.socket:
        raise NotUnderstood("both a URL and a socket are given", "give one of --url and --socket")
    if options.url:
        way = replace(way, url=options.url, socket=None)
    if options.socket:
        way = replace(way, url="", socket=options.socket)
    if options.token_file:
        way = replace(way, token_file=options.token_file)
    return replace(way, ca=options.ca) if options.ca else way


def contexts_file() -> Path:
    """Return where contexts stand."""
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "pilotage" / "contexts.toml"


def _context(name: str) -> Way:
    file = contexts_file()
    try:
        contexts: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        contexts = {}
    except (OSError, ValueError) as error:
        raise NotUnderstood(f"{file} cannot be read: {error}", "mend it, or do without --context") from error
    found = contexts.get(name)
    if not isinstance(found, dict):
        known = ", ".join(sorted(contexts)) or "none"
        raise NotUnderstood(f"{file} has no context {name}; there are: {known}", f"write it there as [{name}]")
    unknown = set(found) - FIELDS
    if unknown or not all(isinstance(value, str) and value for value in found.values()):
        what = f"has no field {min(unknown)}" if unknown else "has fields that are no texts"
        raise NotUnderstood(f"{file}: the context {name} {what}", f"its fields are {', '.join(sorted(FIELDS))}")
    if ("url" in found) is ("socket" in found):
        raise NotUnderstood(f"{file}: the context {name} needs exactly one of url and socket", "mend it")
    paths = {key: file.parent / Path(value).expanduser() for key, value in found.items() if key != "url"}
    return Way(found.get("url", ""), paths.get("socket"), paths.get("token_file"), paths.get("ca"))


def token_of(way: Way, environment: Mapping[str, str] = os.environ) -> str:
    """Return the token that is given; empty without one. Raises NotUnderstood for a file that others can read."""
    if way.token_file is None:
        return environment.get(TOKEN, "").strip()
    try:
        with way.token_file.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            content = file.read(LARGEST)
    except OSError as error:
        raise NotUnderstood(f"{way.token_file}: {error.strerror}", "give a file that holds an API token") from error
    if mode & 0o077:
        raise NotUnderstood(
            f"{way.token_file} can be read by others (mode {mode:04o}), and the token was not used",
            f"run chmod go= {way.token_file}, and rotate the token: others may have it",
        )
    return content.decode(errors="replace").strip()
