"""docs/blueprints.md is in step with the tables that the loader reads by."""

import re
from pathlib import Path

import pytest
from pilotage_coordinator.domain.blueprint.features import BUILT, RESERVED
from pilotage_coordinator.domain.blueprint.form.aliases import ALIASES
from pilotage_coordinator.domain.blueprint.form.blueprint import BLUEPRINT
from pilotage_coordinator.domain.blueprint.form.step import FIELDS
from pilotage_coordinator.domain.blueprint.loader import load_blueprints
from pilotage_coordinator.domain.expression.functions import BUILT_IN, FUNCTIONS

PAGE = (Path(__file__).parents[3] / "docs" / "blueprints.md").read_text("utf-8")


@pytest.mark.parametrize("name", sorted({*BLUEPRINT.fields, *FIELDS} - {"type", "action"}))
def test_each_key_is_documented(name: str) -> None:
    assert re.search(rf"`{name}[`:]", PAGE)


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_each_function_is_documented(name: str) -> None:
    assert f"`{name}(" in PAGE


def test_each_function_of_cel_is_documented() -> None:
    assert {name for name in BUILT_IN if not name.startswith("get")} <= set(re.findall(r"\w+", PAGE))


@pytest.mark.parametrize(("name", "action"), [(name, action) for name in ALIASES for action in ALIASES[name].actions])
def test_each_classic_name_is_documented_with_its_defaults(name: str, action: str) -> None:
    verb = ALIASES[name].actions[action]
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{name}` | `{action}`"))
    assert f"| `{verb.type}` |" in row
    assert all(f"`{key}: " in row for key in verb.defaults)
    assert ("(default)" in row) == (action == ALIASES[name].default_action(in_rollback=False))


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_each_reserved_key_is_documented(name: str) -> None:
    assert f"`{name}`" in PAGE.partition("Reserved for later")[2]


def test_the_example_loads() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert blocks
    for block in blocks:
        load_blueprints(block, "docs/blueprints.md", BUILT)
