"""From a request and the world to a plan, or to the questions that it depends on, or to everything that is wrong."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from pilotage_proto.canonical import CanonicalError

from pilotage_coordinator.domain.blueprint.errors import did_you_mean
from pilotage_coordinator.domain.blueprint.model import Blueprint, Defaults, Step
from pilotage_coordinator.domain.errors import DomainError
from pilotage_coordinator.domain.plan import FailureKind, OnFailure, Plan, PlannedStep, RollbackPlan, StepKind
from pilotage_coordinator.domain.planning.around import Around, paths_of
from pilotage_coordinator.domain.planning.bench import Bench, Frame, reason
from pilotage_coordinator.domain.planning.choosing import choose, selecting
from pilotage_coordinator.domain.planning.codec import digest, plain
from pilotage_coordinator.domain.planning.errors import BlueprintUnreadable, SelectorRefused
from pilotage_coordinator.domain.planning.every_step import all_steps
from pilotage_coordinator.domain.planning.parameters import Values, find_hosts, is_hidden, read_values
from pilotage_coordinator.domain.planning.request import (
    Outcome,
    Planned,
    PlanRequest,
    Questions,
    StoredBlueprint,
    World,
)
from pilotage_coordinator.domain.planning.requirements import unfulfilled
from pilotage_coordinator.domain.planning.resolution import Depends, Resolution, View
from pilotage_coordinator.domain.planning.selector import parse_selector
from pilotage_coordinator.domain.planning.settings import limits_of, merged
from pilotage_coordinator.domain.planning.steps import StepPlanner
from pilotage_coordinator.domain.planning.unbuilt import unbuilt_in_blueprint

MOST_STEP_RUNS: Final = 100_000
"""Step runs of one execution (ARCHITECTURE: Limits)."""
DEEPEST_CALL: Final = 4


def make_plan(request: PlanRequest, world: World) -> Outcome:
    """Return the plan, or the questions that hosts must answer first. Pure; changes nothing anywhere.

    Raises PlanRefused with every problem that was found, each with its step, host and cure.
    """
    return _Planner(request, world).run()


class _Planner:
    def __init__(self, request: PlanRequest, world: World) -> None:
        self._request = request
        self._world = world
        self._bench = Bench(request, world, None)
        self._resolution = Resolution(self._bench)
        self._steps = StepPlanner(self._bench, self._resolution, self._call)
        self._stack: list[str] = []
        """Ids of the blueprints around, outermost first."""

    def run(self) -> Outcome:
        bench, stored = self._bench, self._request.blueprint
        blueprint = stored.blueprint
        if self._request.limit_to:
            try:
                bench.narrow = parse_selector(self._request.limit_to)
            except SelectorRefused as error:
                bench.refuse(FailureKind.TARGET, str(error))
        values = self._values(blueprint, self._request.parameters, "", frozenset())
        bench.check()
        frame = self._frame("", stored, values, Defaults(), None)
        steps, finally_ = self._inside(frame, lenient=False)
        runs = bench.step_runs
        rollback = self._rollback(frame)
        bench.check()
        if bench.questions:
            return Questions(tuple(bench.questions))
        assert not bench.waiting, "something waits for an answer that nobody was asked for"
        if runs > MOST_STEP_RUNS:
            message = f"the plan has {runs} step runs, at most {MOST_STEP_RUNS} are allowed"
            bench.refuse(FailureKind.TARGET, message, "plan for fewer hosts at a time, with -l")
        bench.check()
        plan = Plan(
            blueprint=stored.ref,
            parameters=values.shown(self._world.sensitive_key, ""),
            targets=frame.targets or (),
            steps=steps,
            finally_=finally_,
            on_failure=blueprint.on_failure,
            deadline=blueprint.deadline or 0,
            outputs=dict(blueprint.outputs),
            rollback=rollback,
            resolved={path: dict(sorted(hosts.items())) for path, hosts in sorted(bench.resolved.items())},
            files=dict(sorted(bench.files.items())),
        )
        plan = replace(plan, host_ids=self._ids(plan))
        if hidden := values.hidden():
            bench.sensitive[""] = hidden
        try:
            plan = replace(plan, digest=digest(plan))
        except CanonicalError as error:
            bench.refuse(FailureKind.PARAMETER, f"the plan cannot be kept: {error}", "write such a number as a text")
        bench.check()
        return Planned(plan, bench.sensitive, tuple(bench.notes))

    def _ids(self, plan: Plan) -> dict[str, str]:
        """Return the ids of all hosts that a step names."""
        names = {name for step in all_steps(plan) for name in step.hosts}
        return {name: self._world.inventory[name].id for name in sorted(names)}

    def _values(self, blueprint: Blueprint, given: Mapping[str, Any], path: str, sensitive: frozenset[str]) -> Values:
        """Return the parameters' values; `sensitive` are names whose given values are made from sensitive ones."""
        values, problems = read_values(blueprint, given, self._world.expressions, path)
        if not problems:
            select = selecting(self._resolution, values)
            values, problems = find_hosts(blueprint, values, self._world.inventory, select, path)
        for problem in problems:
            self._bench.add(problem)
        hidden = {name for name, parameter in blueprint.parameters.items() if is_hidden(parameter)}
        return Values(values, frozenset(hidden) | sensitive)

    def _frame(
        self, path: str, stored: StoredBlueprint, values: Values, defaults: Defaults, around: tuple[str, ...] | None
    ) -> Frame:
        """Return the frame of a blueprint with its targets chosen; `around` are the caller's."""
        blueprint = stored.blueprint
        frame = Frame(path, stored, values.real, values.sensitive, merged(defaults, blueprint.defaults))
        frame.paths = paths_of(blueprint, path)
        for message, fix in unbuilt_in_blueprint(blueprint, called=bool(path)):
            self._bench.refuse(FailureKind.PARAMETER, message, fix, path=path, at=blueprint.at)
        if blueprint.targets is not None:
            frame.targets = choose(blueprint.targets, frame, self._bench, self._resolution, path)
        elif around is not None:
            frame.targets = around
        elif self._bench.narrow is not None:
            frame.targets = self._bench.narrow.names(self._world.inventory.values())
            if not frame.targets:
                fix = "see `pilotage host list`"
                self._bench.refuse(FailureKind.TARGET, f"no host fulfils -l {self._bench.narrow.text}", fix)
        return frame

    def _inside(self, frame: Frame, lenient: bool) -> tuple[tuple[PlannedStep, ...], tuple[PlannedStep, ...]]:
        """Plan the steps of a frame, and those of its `finally`."""
        blueprint = frame.stored.blueprint
        self._stack.append(blueprint.id)
        around = Around(frame, frame.path, lenient=lenient)
        steps = self._steps.siblings(blueprint.steps, around)
        last = Around(frame, frame.path, lenient=lenient, on_failure=_in_finally(blueprint.on_failure))
        finally_ = self._steps.siblings(blueprint.finally_, last)
        self._stack.pop()
        self._tell_unused_files(frame)
        self._require(frame)
        return steps, finally_

    def _require(self, frame: Frame) -> None:
        """Check what the blueprint requires of its targets; of all hosts that its steps run on where it has none."""
        requires = frame.stored.blueprint.requires
        if requires is None or frame.targets == ():
            return
        hosts = frame.targets or tuple(sorted({name for each in frame.hosts_of.values() for name in each if name}))
        for problem in unfulfilled(requires, hosts, frame, self._world, self._resolution):
            self._bench.add(problem)

    def _tell_unused_files(self, frame: Frame) -> None:
        blueprint = frame.stored.blueprint
        named = {
            value for step in blueprint.all_steps() for value in step.parameters.values() if isinstance(value, str)
        }
        for name in sorted(blueprint.files.keys() - named):
            self._bench.note(f"no step of {blueprint.id} uses the file `{name}`", frame.path)

    def _rollback(self, frame: Frame) -> RollbackPlan | None:
        plan = frame.stored.blueprint.rollback_plan
        if plan is None:
            return None
        around = Around(frame, frame.path, lenient=True, on_failure=OnFailure.STOP)
        return RollbackPlan(plan.conditions, self._steps.siblings(plan.actions, around))

    def _call(self, step: Step, around: Around, path: str) -> PlannedStep:
        """Plan a step that calls a blueprint; the blueprint's steps stand inside it."""
        planned = PlannedStep(path=path, kind=StepKind.CALL, **limits_of(step, around.frame))
        runs, unsure = self._steps.runs(step, around, path, "")
        if not runs:
            self._bench.note("left out: its condition does not hold", path)
            return planned
        stored = self._called(step, path)
        given = self._arguments(step, around, path) if stored is not None else None
        if stored is None or given is None:
            return planned
        arguments, sensitive = given
        values = self._values(stored.blueprint, arguments, path, sensitive)
        if not values.real and stored.blueprint.parameters:
            return planned
        frame = self._frame(path, stored, values, around.frame.defaults, around.frame.targets)
        steps, finally_ = self._inside(frame, lenient=around.lenient or unsure)
        if hidden := values.hidden():
            self._bench.sensitive[path] = hidden
        deadlines = [each for each in (step.deadline, stored.blueprint.deadline) if each]
        return replace(
            planned,
            call=stored.ref,
            targets=frame.targets or (),
            arguments=values.shown(self._world.sensitive_key, path),
            outputs=dict(stored.blueprint.outputs),
            deadline=min(deadlines, default=0),
            steps=steps,
            finally_=finally_,
        )

    def _called(self, step: Step, path: str) -> StoredBlueprint | None:
        call = step.call
        assert call is not None, "the loader gives every call its blueprint"
        library = self._world.library
        if call.id in self._stack:
            circle = " → ".join([*self._stack[self._stack.index(call.id) :], call.id])
            fix = "a blueprint never calls itself, not even through others"
            self._bench.refuse_step(FailureKind.PARAMETER, step, path, f"{circle} calls itself", fix)
            return None
        if len(self._stack) > DEEPEST_CALL:
            message = f"blueprints call each other deeper than {DEEPEST_CALL}"
            self._bench.refuse_step(FailureKind.PARAMETER, step, path, message, "call fewer one inside the other")
            return None
        pinned = self._request.pins.blueprints.get(path)
        try:
            if pinned is not None and pinned.id == call.id:
                stored = library.exact(pinned)
                missing = f"{pinned}, which was planned, is not stored any more"
            else:
                stored = library.newest(call.id, call.major)
                missing = f"there is no blueprint {call}"
        except BlueprintUnreadable as error:
            self._bench.refuse_step(FailureKind.PARAMETER, step, path, reason(error))
            return None
        if stored is None:
            fix = did_you_mean(call.id, library.ids()) if call.id not in library.ids() else "add that version"
            self._bench.refuse_step(FailureKind.PARAMETER, step, path, missing, fix or "see `pilotage blueprint list`")
        return stored

    def _arguments(self, step: Step, around: Around, path: str) -> tuple[dict[str, Any], frozenset[str]] | None:
        """Return the arguments' values and the names of those made from sensitive parameters; None: not to be had."""
        view = View(around.frame)
        found: dict[str, Any] = {}
        sensitive: set[str] = set()
        for name, tree in step.parameters.items():
            try:
                references = self._resolution.tree_references(plain(tree))
                if self._resolution.waits(references, around.frame):
                    self._bench.waiting = True
                    return None
                if self._resolution.depends(references, view) is Depends.RUN_TIME:
                    raise DomainError(
                        "it is known only at run time; a called blueprint is planned with its caller, so its"
                        " parameters must be known then (an argument that depends on outputs is not available yet)"
                    )
                found[name] = self._resolution.render(plain(tree), view)
            except DomainError as error:
                message = f"argument `{name}`: {reason(error)}"
                self._bench.refuse_step(FailureKind.PARAMETER, step, path, message)
                continue
            if self._resolution.sensitive(references, around.frame):
                sensitive.add(name)
        return (found, frozenset(sensitive)) if found.keys() == step.parameters.keys() else None


def _in_finally(on_failure: OnFailure) -> OnFailure:
    """What runs after the end never starts a rollback."""
    return OnFailure.CONTINUE if on_failure is OnFailure.CONTINUE else OnFailure.STOP
