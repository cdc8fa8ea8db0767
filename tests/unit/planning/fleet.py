"""A small world to plan in: hosts with labels and step types, blueprints from text, a library."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from textwrap import dedent, indent
from typing import Any

from pilotage_coordinator.domain.blueprint.expand import content_digest
from pilotage_coordinator.domain.blueprint.loader import load_blueprints
from pilotage_coordinator.domain.expression.evaluation import Expressions
from pilotage_coordinator.domain.inventory import Host, Inventory
from pilotage_coordinator.domain.plan import BlueprintRef, Effect, Place, PlannedStep
from pilotage_coordinator.domain.planning.errors import PlanProblem, PlanRefused
from pilotage_coordinator.domain.planning.every_step import all_steps
from pilotage_coordinator.domain.planning.planner import make_plan
from pilotage_coordinator.domain.planning.request import (
    Planned,
    PlanRequest,
    Questions,
    ReadAnswer,
    ReadKey,
    StoredBlueprint,
    World,
)
from pilotage_coordinator.domain.step_type import StepTypeInfo

KEY = b"a key of the coordinator, 32 byte"


def step_type(name: str, effect: Effect = Effect.ONCE, version: str = "1.0.0", **more: Any) -> StepTypeInfo:
    return StepTypeInfo(name, effect=effect, distribution="pilotage", version=version, digest=f"sha256:{name}", **more)


STEP_TYPES = {
    each.name: each
    for each in (
        step_type("command.run", author_effects=(Effect.READ, Effect.IDEMPOTENT)),
        step_type("backup.create"),
        step_type("backup.prune", destructive=True),
        step_type("discovery.data", Effect.READ),
        step_type("file.write", Effect.IDEMPOTENT),
        step_type("http.check", Effect.READ),
    )
}
ON_COORDINATOR = {
    each.name: each
    for each in (
        step_type("validation.assert", Effect.READ, place=Place.COORDINATOR),
        step_type("notify.send", place=Place.COORDINATOR),
        step_type("gate.pause", Effect.READ, place=Place.COORDINATOR, once=True),
    )
}


def host(name: str, **more: Any) -> Host:
    more.setdefault("labels", {"role": "db"})
    more.setdefault("step_types", STEP_TYPES)
    more.setdefault("online", True)
    more.setdefault("address", f"{name}.example.org")
    return Host(id=f"hst_{name}", name=name, **more)


THREE = (host("db1"), host("db2"), host("web1", labels={"role": "web"}))


def stored(text: str) -> StoredBlueprint:
    """Load one workflow; `text` is what stands below its id, or a whole file."""
    text = dedent(text)
    if "workflows:" not in text:
        text = "pilotage: 1\nworkflows:\n  nightly:\n" + indent(text, "    ")
    (blueprint,) = load_blueprints(text, "nightly.yaml")
    return StoredBlueprint(BlueprintRef(blueprint.id, blueprint.version, content_digest(blueprint)), blueprint)


@dataclass
class Shelf:
    """A library in memory."""

    books: Sequence[StoredBlueprint] = ()

    def newest(self, id: str, major: int) -> StoredBlueprint | None:
        fitting = [each for each in self.books if each.ref.id == id and each.ref.version.startswith(f"{major}.")]
        return max(fitting, key=lambda each: [int(part) for part in each.ref.version.split(".")], default=None)

    def exact(self, ref: BlueprintRef) -> StoredBlueprint | None:
        return next((each for each in self.books if each.ref == ref), None)

    def ids(self) -> tuple[str, ...]:
        return tuple(each.ref.id for each in self.books)


@dataclass
class Answers:
    """What hosts answer to reads: by path and host, by path, or an empty object."""

    by_key: Mapping[ReadKey, ReadAnswer] = field(default_factory=dict)
    by_path: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __call__(self, key: ReadKey) -> ReadAnswer:
        return self.by_key.get(key) or ReadAnswer(self.by_path.get(key[0], {}))


def world(hosts: Sequence[Host] = THREE, *books: StoredBlueprint, **more: Any) -> World:
    usual = {"step_types": ON_COORDINATOR, "expressions": Expressions(), "sensitive_key": KEY, "channels": ("ops",)}
    given: dict[str, Any] = {**usual, **more}
    return World(inventory=Inventory(hosts), library=Shelf(books), **given)


def plan_request(request: PlanRequest, where: World, answers: Answers | None = None) -> Planned:
    """Plan, answering every question."""
    outcome = make_plan(request, where)
    for _ in range(10):
        if isinstance(outcome, Planned):
            return outcome
        assert isinstance(outcome, Questions)
        new = {each.key: (answers or Answers())(each.key) for each in outcome.questions}
        where = replace(where, answers={**where.answers, **new})
        outcome = make_plan(request, where)
    raise AssertionError("the questions never end")


def plan(text: str, *hosts: Host, answers: Answers | None = None, **request: Any) -> Planned:
    return plan_request(PlanRequest(stored(text), **request), world(hosts or THREE), answers)


def problems(text: str, *hosts: Host, books: Sequence[StoredBlueprint] = (), **request: Any) -> tuple[PlanProblem, ...]:
    """Plan what cannot be planned, and return why."""
    try:
        outcome = make_plan(PlanRequest(stored(text), **request), world(hosts or THREE, *books))
    except PlanRefused as refused:
        return refused.problems
    raise AssertionError(f"it was planned: {outcome}")


def step(planned: Planned, path: str) -> PlannedStep:
    return next(each for each in all_steps(planned.plan) if each.path == path)
