"""What this host can run: a child process loads every plugin, asks each step type whether it is available, and prints
the answer as JSON. Plugins are never imported by the agent itself.

Run as `python -m pilotage_agent.catalogue_probe`; printed:
`{"step_types": [...], "quarantined": [...]}`, the step types as the plugin API
describes them plus `available`, `reason` and `details`. With `--holdings` it prints facts instead (see holdings.py).
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pilotage_proto.limits import LARGEST_JSON

from pilotage_agent.errors import AgentError

CATALOGUE_SECONDS: Final = 60.0
BUILTIN_DISTRIBUTION: Final = "pilotage"
_NEEDED_HERE: Final = ("effect", "author_effects", "destructive", "distribution", "version", "has_recover")
_OUTPUT_LIMIT: Final = 8 * 1024 * 1024


class CatalogueFailed(AgentError):
    """The step types of this host could not be found out."""


@dataclass(frozen=True, slots=True)
class HostCatalogue:
    """The step types of this host, as JSON for the wire and by name for the agent's own checks."""

    step_types: bytes = b"[]"
    quarantined: bytes = b"[]"
    by_name: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: bytes) -> "HostCatalogue":
        """Read what the child printed; raises CatalogueFailed."""
        try:
            data = json.loads(text)
            told, untold = _fitting(data["step_types"])
            quarantined, _ = _fitting([*(_too_large(one) for one in untold), *data["quarantined"]])
            return cls(
                step_types=json.dumps(told).encode(),
                quarantined=json.dumps(quarantined).encode(),
                by_name={one["name"]: {name: one.get(name) for name in _NEEDED_HERE} for one in told},
            )
        except (ValueError, KeyError, TypeError) as error:
            raise CatalogueFailed(f"the catalogue of step types cannot be read: {error}") from error

    def is_builtin(self, step_type: str) -> bool:
        """Whether a step type comes with Pilotage itself."""
        return self.by_name.get(step_type, {}).get("distribution") == BUILTIN_DISTRIBUTION

    def recovers(self, step_type: str) -> bool:
        """Whether interrupted attempts of a step type are to be put in order."""
        return bool(self.by_name.get(step_type, {}).get("has_recover"))


def _fitting(entries: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the entries that fit into one message together, in order, and those that do not."""
    told, untold, size = [], [], 2
    for one in entries:
        needed = len(json.dumps(one)) + 2
        if size + needed > LARGEST_JSON:
            untold.append(one)
        else:
            told.append(one)
            size += needed
    return told, untold


def _too_large(one: Mapping[str, Any]) -> dict[str, str]:
    reason = f"{one['name']} is left out: the step types of this host take more than {LARGEST_JSON} bytes"
    return {
        "distribution": str(one.get("distribution", "")),
        "version": str(one.get("version", "")),
        "entry_point": str(one["name"])[:200],
        "reason": reason[:500],
    }


async def probe_catalogue(environment: Mapping[str, str]) -> HostCatalogue:
    """Let a child process find out what this host can run; raises CatalogueFailed."""
    return HostCatalogue.parse(await _ask_child(environment))


async def probe_holdings(environment: Mapping[str, str]) -> dict[str, Any]:
    """Let a child process find out what this host holds, as facts; raises CatalogueFailed."""
    printed = await _ask_child(environment, "--holdings")
    try:
        found = json.loads(printed)
    except ValueError as error:
        raise CatalogueFailed(f"what this host holds cannot be read: {error}") from error
    return dict(found)


async def _ask_child(environment: Mapping[str, str], *argv: str) -> bytes:
    """Return what the child prints; raises CatalogueFailed."""
    try:
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "pilotage_agent.catalogue_probe",
            *argv,
            env={
                name: environment[name]
                for name in ("PATH", "LANG", "PYTHONPATH", "DOCKER_HOST", "DOCKER_CONFIG")
                if name in environment
            },
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
            limit=_OUTPUT_LIMIT,
        )
    except OSError as error:
        raise CatalogueFailed(f"the process that looks for plugins cannot be started: {error}") from error
    try:
        async with asyncio.timeout(CATALOGUE_SECONDS):
            printed, complaint = await child.communicate()
    except TimeoutError:
        raise CatalogueFailed(f"looking for plugins took more than {CATALOGUE_SECONDS:.0f} s") from None
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        await child.wait()
    if child.returncode:
        last = complaint.decode("utf-8", "replace").strip().rpartition("\n")[2]
        raise CatalogueFailed(f"looking for plugins ended with {child.returncode}: {last}")
    return printed
