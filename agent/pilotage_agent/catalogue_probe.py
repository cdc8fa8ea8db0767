"""The child process behind catalogue.py: imports plugins, which the agent never does."""

import asyncio
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from pilotage_plugin_api import StepContext
from pilotage_plugin_api.catalogue import Catalogue, load_catalogue
from pilotage_plugin_api.context import Stream
from pilotage_plugin_api.errors import PluginApiError, Refused
from pilotage_plugin_api.invocation import check_available, run_step

AVAILABLE_SECONDS: Final = 5.0
HOLDINGS_SECONDS: Final = 20.0


class Silent:
    """A Reporter that keeps nothing: availability checks have no log."""

    def log(self, stream: Stream, text: str) -> None:
        """Take a line and forget it."""

    def progress(self, fraction: float | None, text: str) -> None:
        """Take progress and forget it."""


class NoSecrets:
    """Secrets of a call that was granted none."""

    async def resolve(self, name: str) -> bytes:
        """Refuse."""
        raise Refused(f"an availability check may not read the secret {name}")


async def describe(catalogue: Catalogue, scratch: Path, host: str) -> dict[str, Any]:
    """Return every step type with its availability, and the quarantined plugins."""
    ctx = _context(scratch, host)
    described = catalogue.describe()
    answers = await asyncio.gather(
        *(check_available(catalogue.get(one["name"]), ctx.within(AVAILABLE_SECONDS)) for one in described)
    )
    for one, answer in zip(described, answers, strict=True):
        one.update(available=answer.available, reason=answer.reason, details=dict(answer.details))
    return {"step_types": described, "quarantined": [plugin.describe() for plugin in catalogue.quarantined]}


async def holdings(catalogue: Catalogue, scratch: Path, host: str) -> dict[str, Any]:
    """Return the facts about what this host holds, as our own read step types find them; what they cannot is left out.

    `packages_manual`: names, as package.install takes them. `compose_projects`: name, directory, config_files, and the
    profiles that are switched on, None where those are not known.
    """
    found: dict[str, Any] = {}
    packages = await _read(catalogue, "discovery.packages", {}, scratch, host)
    if packages is not None:
        found["packages_manual"] = [each["name"] for each in packages["packages"]]
        found["packages_manual_left_out"] = packages["left_out"]
    projects = await _read(catalogue, "compose.list", {"profiles": True}, scratch, host)
    if projects is None:
        # Reading all the files may take longer than we have, and the projects themselves must not be forgotten for it.
        projects = await _read(catalogue, "compose.list", {}, scratch, host)
    if projects is not None:
        found["compose_projects"] = [
            {
                "name": each["name"],
                "directory": each["directory"],
                "config_files": each["files"],
                "profiles": each.get("profiles"),
            }
            for each in projects["projects"]
        ]
    return found


async def _read(
    catalogue: Catalogue, name: str, params: dict[str, Any], scratch: Path, host: str
) -> dict[str, Any] | None:
    """Run a step type of effect read; None when it is not there or fails."""
    ctx = _context(scratch, host).within(HOLDINGS_SECONDS)
    try:
        return await run_step(catalogue.get(name), ctx, params)
    except PluginApiError:
        return None


def _context(scratch: Path, host: str) -> StepContext:
    return StepContext(
        attempt_key="availability", host=host, scratch=scratch, reporter=Silent(), secrets=NoSecrets(),
        cancel=asyncio.Event(),
    )  # fmt: skip


def main() -> None:
    """Print the catalogue, or the facts. What plugins print while they are loaded goes to standard error."""
    answer = os.dup(1)
    os.dup2(2, 1)
    told = holdings if sys.argv[1:] == ["--holdings"] else describe
    with tempfile.TemporaryDirectory(prefix="pilotage-catalogue-") as scratch:
        described = asyncio.run(told(load_catalogue(), Path(scratch), os.uname().nodename))
    with os.fdopen(answer, "wb") as out:
        out.write(json.dumps(described).encode())
    sys.stdout.flush()


if __name__ == "__main__":
    main()
