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
from pilotage_plugin_api.errors import Refused
from pilotage_plugin_api.invocation import check_available

AVAILABLE_SECONDS: Final = 5.0


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
    ctx = StepContext(
        attempt_key="availability", host=host, scratch=scratch, reporter=Silent(), secrets=NoSecrets(),
        cancel=asyncio.Event(),
    )  # fmt: skip
    described = catalogue.describe()
    answers = await asyncio.gather(
        *(check_available(catalogue.get(one["name"]), ctx.within(AVAILABLE_SECONDS)) for one in described)
    )
    for one, answer in zip(described, answers, strict=True):
        one.update(available=answer.available, reason=answer.reason, details=dict(answer.details))
    return {"step_types": described, "quarantined": [plugin.describe() for plugin in catalogue.quarantined]}


def main() -> None:
    """Print the catalogue. What plugins print while they are loaded goes to standard error."""
    answer = os.dup(1)
    os.dup2(2, 1)
    with tempfile.TemporaryDirectory(prefix="pilotage-catalogue-") as scratch:
        described = asyncio.run(describe(load_catalogue(), Path(scratch), os.uname().nodename))
    with os.fdopen(answer, "wb") as out:
        out.write(json.dumps(described).encode())
    sys.stdout.flush()


if __name__ == "__main__":
    main()
