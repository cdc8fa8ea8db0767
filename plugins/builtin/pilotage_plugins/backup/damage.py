"""What is damaged when a check finds something: which packs, and whose data lies in them."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from pilotage_plugin_api import StepError

from pilotage_plugins.backup.restic import Restic

PACKS_TRACED: Final = 5
FILES_NAMED: Final = 3
_PACK: Final = re.compile(
    rb"pack (?:ID does not match, want )?([0-9a-f]{64}|[0-9a-f]{8,10})\b(?!.*: not referenced)", re.IGNORECASE
)


def damaged_packs(line: bytes) -> list[str]:
    """Return the ids of the packs that a line of `restic check` complains about; versions word it differently."""
    return [found.decode() for found in _PACK.findall(line)]


async def trace(restic: Restic, packs: Iterable[str]) -> str:
    """Say which snapshots and files need these packs; an answer for people, also when restic cannot tell."""
    told = []
    for pack in list(packs)[:PACKS_TRACED]:
        try:
            found = await _objects(restic, pack)
        except StepError as error:
            told.append(f"pack {pack[:16]} (whose it is cannot be told: {str(error)[:200]})")
            continue
        snapshots = list(dict.fromkeys(str(one.get("snapshot", ""))[:8] for one in found if one.get("snapshot")))
        files = list(dict.fromkeys(str(one["path"]) for one in found if one.get("path")))
        of = f"needed by the snapshots {', '.join(snapshots[:20])}" if snapshots else "needed by no snapshot"
        named = ", ".join(map(repr, files[:FILES_NAMED])) + (" and more" if len(files) > FILES_NAMED else "")
        told.append(f"pack {pack[:16]} is damaged, {of}" + (f", for {named}" if files else ""))
    return "; ".join(told)


async def _objects(restic: Restic, pack: str) -> list[dict[str, Any]]:
    path: Path = await restic.json_file("looking whose a pack is", "find", "--pack", pack, name="pack.json")
    try:
        found = json.loads(path.read_bytes() or b"[]")
    except ValueError:
        return []
    finally:
        path.unlink()
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
