"""The schemas of the built-in step types as they were published, in builtin_schemas.jsonl: a line for each.

    python -m tests.contract.builtin_schemas              # take in what broke nobody's blueprint
    python -m tests.contract.builtin_schemas --breaking   # take in also what does

The second is a decision: it belongs into CHANGELOG.md, with what people have to write instead.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pilotage_plugin_api.catalogue import BUILTIN_DISTRIBUTION, load_catalogue
from pilotage_plugin_api.testing.schema import broken_promises, schemas_of

RECORDED: Final = Path(__file__).with_name("builtin_schemas.jsonl")
COMMAND: Final = "python -m tests.contract.builtin_schemas"

Schemas = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one step type. `broken`: what blueprints can no longer rely on; empty when it is compatible."""

    step_type: str
    broken: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Say what it means for blueprints that people wrote."""
        if self.broken:
            return f"{self.step_type} BREAKS blueprints: {'; '.join(self.broken)}"
        return f"{self.step_type} changed, and every blueprint goes on working"


def current() -> dict[str, dict[str, Any]]:
    """Return the schemas of the built-in step types as their code has them."""
    catalogue = load_catalogue()
    ours = [name for name, one in catalogue.step_types.items() if one.origin.distribution == BUILTIN_DISTRIBUTION]
    return {name: _promises(json.loads(json.dumps(schemas_of(catalogue.get(name))))) for name in sorted(ours)}


def _promises(schema: Any, *, names: bool = False) -> Any:
    """Leave out what only people read. With `names`, the keys are names of fields: one may be `description`."""
    if isinstance(schema, list):
        return [_promises(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: _promises(value, names=not names and key in ("properties", "$defs"))
        for key, value in schema.items()
        if names or key != "description"
    }


def recorded() -> dict[str, dict[str, Any]]:
    """Return them as they were recorded."""
    return dict(json.loads(line) for line in RECORDED.read_text().splitlines()) if RECORDED.exists() else {}


def changes(before: Schemas, now: Schemas) -> Iterator[Change]:
    """Tell each step type whose schemas are others than before."""
    for name in sorted({*before, *now}):
        if name not in now:
            yield Change(name, ("it is gone",))
        elif name not in before:
            yield Change(name)
        elif before[name] != now[name]:
            yield Change(name, tuple(broken_promises(before[name], now[name])))


def as_text(schemas: Schemas) -> str:
    """Return the content of the file: a line for each step type, so that two people's changes do not meet."""
    return "".join(json.dumps([name, schemas[name]], sort_keys=True) + "\n" for name in sorted(schemas))


def main(arguments: list[str]) -> int:
    """Record what there is now, unless it breaks something and nobody said that it may."""
    found = list(changes(recorded(), current()))
    sys.stdout.writelines(f"{change}\n" for change in found)
    if any(change.broken for change in found) and "--breaking" not in arguments:
        sys.stdout.write("nothing was recorded. Keep the old form beside the new one; if that cannot be: --breaking\n")
        return 1
    RECORDED.write_text(as_text(current()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
