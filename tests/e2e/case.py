"""A blueprint and what must come of it, as a pair of files: `cases/NAME.yaml` and `cases/NAME.expected.yaml`.

Every blueprint gets a parameter `work`: the path of an empty folder that is the case's own. The fleet of all cases is
`HOSTS`; an expectation's keys are the fields of `Expected`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from ruamel.yaml import YAML

FOLDER = Path(__file__).parent / "cases"

HOSTS: Mapping[str, Mapping[str, str]] = {
    "web1": {"role": "web"},
    "web2": {"role": "web"},
    "web3": {"role": "web"},
    "db1": {"role": "db"},
    "away1": {"role": "away"},
}
OFFLINE = ("away1",)
"""Hosts that were there, and whose agents do not run any more."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Until(_Strict):
    """What to wait for: the execution's state, and step runs (`step@host[item]`) in their states."""

    state: str | None = None
    runs: dict[str, str] = {}
    waits_for: dict[str, str] = {}
    gate: str | None = None


class Act(_Strict):
    """A command given once something is so. `$EXECUTION` and `$WORK` are replaced in its arguments."""

    until: Until = Until()
    cli: list[str]
    exit: int = 0
    says: str = ""
    """A part of what it must print."""


class RunExpected(_Strict):
    """One step run. What is not named is not compared; outputs may hold more than is named."""

    state: str
    attempts: int | None = None
    error: str | None = None
    """A part of the error."""
    failure_kind: str | None = None
    detail: str | None = None
    outputs: dict[str, Any] | None = None


class Expected(_Strict):
    """What must come of a case."""

    covers: list[str]
    limit: str = ""
    workflow: str = ""
    add: bool = False
    """Store the file with `blueprint add` first."""
    parameters: dict[str, Any] = {}
    exit: int = 0
    """Of `pilotage run start -f FILE --yes`."""
    refused: str | None = None
    """A part of what it says when nothing may start; then nothing else is compared."""
    acts: list[Act] = []
    """Done in order after it was started with --no-wait; `exit` is then that of `run watch`."""
    state: str | None = None
    runs: dict[str, str | RunExpected] = {}
    """Every step run of the execution, by `step@host[item]` (`step` alone: on the coordinator)."""
    outputs: dict[str, Any] = {}
    warnings: bool = False
    """Whether it completed with warnings; not compared otherwise."""
    files: dict[str, list[str] | None] = {}
    """Files in the work folder, by their lines (of a dummy's marks: only how many); None: must not be there."""
    order: list[str] = []
    """Step runs in the order in which they must have started."""
    at_most_together: dict[str, int] = {}
    """How many runs of a step may have been running at the same moment."""


class Case(_Strict):
    """One pair."""

    name: str
    blueprint: Path
    expected: Expected
    kind: Literal["case"] = "case"


def cases() -> list[Case]:
    """Read every pair; a blueprint without expectation, or the other way round, is an error."""
    blueprints = {path.stem: path for path in FOLDER.glob("*.yaml") if not path.name.endswith(".expected.yaml")}
    expectations = {path.name.removesuffix(".expected.yaml"): path for path in FOLDER.glob("*.expected.yaml")}
    if single := blueprints.keys() ^ expectations.keys():
        raise AssertionError(f"without its other half: {sorted(single)}")
    reader = YAML(typ="safe", pure=True)
    return [
        Case(name=name, blueprint=blueprints[name], expected=Expected(**reader.load(expectations[name].read_text())))
        for name in sorted(blueprints)
    ]
