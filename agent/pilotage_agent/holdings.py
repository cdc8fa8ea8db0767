"""What this host holds: facts that change slowly and cost a look at its packages and its containers.

They are what somebody needs who builds the host anew after it was lost, so they are kept on disk: an agent that has
just started tells what it knew, and a Docker Engine that is down makes no project forgotten.
"""

import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

_log = logging.getLogger("pilotage.agent")

FIRST_SECONDS: Final = 30.0
"""After a start: what is running again and what waits has precedence."""
FRESH_SECONDS: Final = 3600.0
"""Younger facts are not looked for again after a start."""
EVERY_SECONDS: Final = 24 * 3600.0

Look = Callable[[], Awaitable[Mapping[str, Any]]]
"""Looks at the host and returns what it found; what it could not find out is left out."""


class Holdings:
    """The facts, in memory and in a file. `look` may fail in any way: then all stays as it was."""

    def __init__(self, file: Path, look: Look) -> None:
        self._file = file
        self._look = look
        self._found_at = 0.0
        self.facts: dict[str, Any] = {}

    def load(self) -> None:
        """Read what was found before this start; a file that cannot be read is none. Blocking."""
        try:
            kept = json.loads(self._file.read_bytes())
            self.facts, self._found_at = dict(kept["facts"]), float(kept["found_at"])
        except (OSError, ValueError, KeyError, TypeError):
            self.facts, self._found_at = {}, 0.0

    def first_look_in(self) -> float:
        """Return in how many seconds to look for the first time after a start."""
        age = time.time() - self._found_at
        return EVERY_SECONDS - age if 0 <= age < FRESH_SECONDS else FIRST_SECONDS

    async def look(self) -> bool:
        """Look at the host; says whether anything changed."""
        try:
            found = {**self.facts, **await self._look()}
        except Exception as error:
            _log.warning("what this host holds could not be looked at: %s; what was known before stays", error)
            return False
        changed = found != self.facts
        self.facts, self._found_at = found, time.time()
        self._keep()
        return changed

    def _keep(self) -> None:
        hidden = self._file.with_suffix(".new")
        try:
            hidden.write_text(json.dumps({"facts": self.facts, "found_at": self._found_at}))
            hidden.replace(self._file)
        except OSError as error:
            _log.warning("%s cannot be written: %s", self._file, error)
