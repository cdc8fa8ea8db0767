"""`pytest --pilotage-conformance`: the conformance suite alone, complete for every step type, with a list at the end.

Without the option, conformance classes are tests as any other.
"""

from collections.abc import Iterator
from typing import Any, Final

import pytest

from pilotage_plugin_api.catalogue import BUILTIN_DISTRIBUTION, load_catalogue
from pilotage_plugin_api.testing.conformance import Conformance

OPTION: Final = "--pilotage-conformance"
_NAME: Final = "pilotage_conformance"
_STEP_TYPE: Final = "pilotage-step-type"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("pilotage")
    group.addoption(
        OPTION,
        action="store_true",
        dest=_NAME,
        help="run the conformance tests of step types only; fail when an installed plugin's step type has none",
    )
    group.addoption(
        "--pilotage-record-schemas",
        action="store_true",
        help="write the schema files of conformance classes (`schemas`) anew instead of comparing with them",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the conformance tests; raise UsageError when a step type that strangers' plugins bring has none."""
    if not config.getoption(_NAME):
        return
    kept: list[pytest.Item] = []
    left: list[pytest.Item] = []
    for item in items:
        (kept if _class_of(item) is not None else left).append(item)
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = kept
    tested = {suite.step_type.name for item in kept if (suite := _class_of(item)) is not None}
    catalogue = load_catalogue()
    problems = [f"{plugin.origin.entry_point}: {plugin.reason}" for plugin in catalogue.quarantined]
    strangers = {name for name, one in catalogue.step_types.items() if one.origin.distribution != BUILTIN_DISTRIBUTION}
    problems += [f"{name} has no conformance class: derive one from Conformance" for name in sorted(strangers - tested)]
    if not kept and not strangers:
        problems.append("no step type is installed here and no conformance class was found")
    if problems:
        raise pytest.UsageError("; ".join(problems))
    for item in kept:
        suite = _class_of(item)
        assert suite is not None
        item.user_properties.append((_STEP_TYPE, suite.step_type.name))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print one line for each step type: what passed, what failed, what does not apply."""
    if not config.getoption(_NAME):
        return
    counts: dict[str, dict[str, int]] = {}
    for outcome in ("passed", "failed", "skipped", "error"):
        for report in terminalreporter.stats.get(outcome, ()):
            for name in _step_types_of(report):
                counts.setdefault(name, {}).setdefault(outcome, 0)
                counts[name][outcome] += 1
    terminalreporter.section("Pilotage conformance")
    for name in sorted(counts):
        found = counts[name]
        verdict = "does NOT conform" if found.get("failed") or found.get("error") else "conforms"
        told = ", ".join(f"{number} {outcome}" for outcome, number in found.items())
        terminalreporter.write_line(f"{name} {verdict} ({told})")


def _step_types_of(report: Any) -> Iterator[str]:
    return (value for name, value in getattr(report, "user_properties", ()) if name == _STEP_TYPE)


def _class_of(item: pytest.Item) -> type[Conformance] | None:
    found = getattr(item, "cls", None)
    return found if isinstance(found, type) and issubclass(found, Conformance) else None
