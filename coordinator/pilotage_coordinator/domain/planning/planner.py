"""From a request and the world to a plan, or to the questions that it depends on, or to everything that is wrong."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from pilotage_proto.canonical import CanonicalError

from pilotage_coordinator.domain.blueprint.errors import did_you_mean
from pilotage_coordinator.domain.blueprint.model import Blueprint, Defaults, Step
from pilotage_coordinator.domain.plan import (
    READ_BY_STEP_TYPES,
    FailureKind,
    Json,
    OnFailure,
    Plan,
    PlannedStep,
    RollbackPlan,
)
from pilotage_coordinator.domain.planning.approvals import approvals_of_policy, misplaced_approvals
from pilotage_coordinator.domain.planning.around import Around, paths_of
from pilotage_coordinator.domain.planning.bench import Bench, Frame
from pilotage_coordinator.domain.planning.calls import Calls, Inside
from pilotage_coordinator.domain.planning.choosing import choose, chosen_on, selecting
from pilotage_coordinator.domain.planning.codec import digest
from pilotage_coordinator.domain.planning.errors import PlanProblem, PlanRefused, SelectorRefused
from pilotage_coordinator.domain.planning.every_step import all_steps
from pilotage_coordinator.domain.planning.offers import Asking, ask, unknown_choice, with_what_is_given
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
from pilotage_coordinator.domain.planning.resolution import Resolution
from pilotage_coordinator.domain.planning.selector import parse_selector
from pilotage_coordinator.domain.planning.settings import merged
from pilotage_coordinator.domain.planning.signed_hosts import wanted_signatures
from pilotage_coordinator.domain.planning.steps import StepPlanner
from pilotage_coordinator.domain.planning.unbuilt import unbuilt_in_blueprint

MOST_STEP_RUNS: Final = 100_000
"""Step runs of one execution (ARCHITECTURE: Limits)."""


def make_plan(request: PlanRequest, world: World) -> Outcome:
    """Return the plan, or the questions that hosts must answer first. Pure; changes nothing anywhere.

    Raises PlanRefused with every problem that was found, each with its step, host and cure.
    """
    return _Planner(request, world).run()


def ask_for_offers(request: PlanRequest, world: World, name: str) -> Asking:
    """Return what to ask which hosts about a parameter that has `choices_from`, with the values that are given so far.

    Raises PlanRefused when there is no such parameter, or what is given does not say which hosts are meant.
    """
    return _Planner(request, world).offers_of(name)


class _Planner:
    def __init__(self, request: PlanRequest, world: World) -> None:
        self._request = request
        self._world = world
        self._bench = Bench(request, world, None)
        self._resolution = Resolution(self._bench)
        self._steps = StepPlanner(self._bench, self._resolution, self._plan_call)
        self._calls = Calls(self._bench, self._resolution, self._steps, self)

    def run(self) -> Outcome:
        bench, stored = self._bench, self._request.blueprint
        blueprint = stored.blueprint
        values, frame = self._root(stored, self._request.parameters)
        self._check_offers(frame)
        steps, finally_ = self.inside(Around(frame, ""))
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
            name=blueprint.name,
            category=blueprint.category,
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
        for step, why in misplaced_approvals(plan):
            bench.refuse(FailureKind.PARAMETER, f"an approval cannot stand here: {why}", "remove it", path=step.path)
        plan = replace(plan, host_ids=self._ids(plan))
        plan = replace(plan, host_variables=self._variables(plan))
        if self._world.judge is not None:
            policy, problems = self._world.judge(plan)
            plan = replace(plan, policy=policy, approvals=approvals_of_policy(policy))
            for problem in problems:
                bench.add(problem)
            bench.check()
        bench.notes += wanted_signatures(plan, self._world.inventory)
        if hidden := values.hidden():
            bench.sensitive[""] = hidden
        try:
            plan = replace(plan, digest=digest(plan))
        except CanonicalError as error:
            bench.refuse(FailureKind.PARAMETER, f"the plan cannot be kept: {error}", "write such a number as a text")
        bench.check()
        return Planned(plan, bench.sensitive, tuple(bench.notes))

    def offers_of(self, name: str) -> Asking:
        """Return what to ask about one parameter, while others may still have no value."""
        stored, given = self._request.blueprint, self._request.parameters
        parameter = stored.blueprint.parameters.get(name)
        if parameter is None or parameter.choices_from is None:
            hint = did_you_mean(name, [each.name for each in stored.blueprint.parameters.values() if each.choices_from])
            fix = hint if hint.startswith("did") else "`pilotage blueprint show` tells which parameters have"
            message = f"`{stored.blueprint.id}` has no parameter `{name[:60]}` with `choices_from`"
            raise PlanRefused([PlanProblem(FailureKind.PARAMETER, message, fix)])
        others = {each: value for each, value in given.items() if each != name}
        _, frame = self._root(replace(stored, blueprint=with_what_is_given(stored.blueprint, others)), others)
        self._bench.check()
        return ask(parameter, parameter.choices_from, frame.targets or (), self._world.inventory)

    def _root(self, stored: StoredBlueprint, given: Mapping[str, Any]) -> tuple[Values, Frame]:
        """Return the values of the parameters, and the frame with the hosts that the blueprint means."""
        bench, blueprint = self._bench, stored.blueprint
        if self._request.limit_to:
            try:
                bench.narrow = parse_selector(self._request.limit_to)
            except SelectorRefused as error:
                bench.refuse(FailureKind.TARGET, str(error))
        values = self._values(blueprint, given)
        bench.check()
        frame = Frame("", stored, values.real, values.sensitive, merged(Defaults(), blueprint.defaults))
        self.settle(frame, None)
        return values, frame

    def _check_offers(self, frame: Frame) -> None:
        """Ask the hosts whether they have what was chosen; what is only the default is the author's own word."""
        bench, answers = self._bench, self._world.answers
        for name, parameter in frame.stored.blueprint.parameters.items():
            value = frame.parameters.get(name)
            usual = parameter.default if parameter.has_default else None
            if parameter.choices_from is None or not frame.targets or value in (None, usual):
                continue
            asking = ask(parameter, parameter.choices_from, frame.targets, self._world.inventory)
            if open_ := [each for each in asking.questions if each.key not in answers]:
                bench.questions += open_
                continue
            offers = asking.offers(answers)
            if not (unknown := unknown_choice(value, offers)):
                continue
            if offers.all_told:
                message = f"parameter `{name}`: no host has `{unknown[:60]}` ({parameter.choices_from.type} was asked)"
                bench.refuse(FailureKind.PARAMETER, message, did_you_mean(unknown, offers.values), at=parameter.at)
            else:
                why = "; ".join(f"{host}: {reason}" for host, reason in offers.untold.items())
                bench.note(f"parameter `{name}`: whether any host has `{unknown[:60]}` is not known ({why[:500]})")

    def _ids(self, plan: Plan) -> dict[str, str]:
        """Return the ids of all hosts that a step names."""
        names = {name for step in all_steps(plan) for name in step.hosts}
        return {name: self._world.inventory[name].id for name in sorted(names)}

    def _variables(self, plan: Plan) -> dict[str, dict[str, Json]]:
        """Return the variables that step types read by themselves, of the hosts that have one."""
        found = {name: self._world.inventory[name].vars for name in plan.host_ids}
        used = {
            name: {each: value for each, value in variables.items() if each in READ_BY_STEP_TYPES}
            for name, variables in found.items()
        }
        return {name: variables for name, variables in used.items() if variables}

    def _values(self, blueprint: Blueprint, given: Mapping[str, Any]) -> Values:
        """Return the parameters' values."""
        values, problems = read_values(blueprint, given, self._world.expressions, "")
        if not problems:
            select = selecting(self._resolution, values)
            values, problems = find_hosts(blueprint, values, self._world.inventory, select, "")
        for problem in problems:
            self._bench.add(problem)
        return Values(values, frozenset(name for name, each in blueprint.parameters.items() if is_hidden(each)))

    def _plan_call(self, step: Step, around: Around, path: str) -> PlannedStep:
        return self._calls.plan(step, around, path)

    def settle(self, frame: Frame, around: tuple[str, ...] | None) -> None:
        """Find the targets of a blueprint; `around` are the caller's, or the hosts of the group around the call."""
        blueprint = frame.stored.blueprint
        frame.paths = paths_of(blueprint, frame.path)
        for message, fix in unbuilt_in_blueprint(blueprint, called=bool(frame.path)):
            self._bench.refuse(FailureKind.PARAMETER, message, fix, path=frame.path, at=blueprint.at)
        targets = blueprint.targets
        if targets is not None and frame.on_host:
            frame.targets = chosen_on(targets, frame, self._bench, self._resolution, frame.path, around or ())
        elif targets is not None:
            frame.targets = choose(targets, frame, self._bench, self._resolution, frame.path)
        elif around is not None:
            frame.targets = around
        elif self._bench.narrow is not None:
            frame.targets = self._bench.narrow.names(self._world.inventory.values())
            if not frame.targets:
                fix = "see `pilotage host list`"
                self._bench.refuse(FailureKind.TARGET, f"no host fulfils -l {self._bench.narrow.text}", fix)

    def inside(self, around: Around) -> Inside:
        """Plan the steps of a blueprint, and those of its `finally`."""
        blueprint = around.frame.stored.blueprint
        with self._calls.within(blueprint):
            steps = self._steps.siblings(blueprint.steps, around)
            last = replace(around, on_failure=_in_finally(blueprint.on_failure))
            finally_ = self._steps.siblings(blueprint.finally_, last)
        self._tell_unused_files(around.frame)
        self._require(around.frame)
        return steps, finally_

    def _require(self, frame: Frame) -> None:
        """Check what the blueprint requires of its targets; of all hosts that its steps run on where it has none.

        One that is called inside a group has one host at a time.
        """
        requires = frame.stored.blueprint.requires
        if requires is None or frame.targets == ():
            return
        hosts = frame.targets or tuple(sorted({name for each in frame.hosts_of.values() for name in each if name}))
        for each in [(name,) for name in hosts] if frame.on_host else [hosts]:
            on = each[0] if frame.on_host else ""
            for problem in unfulfilled(requires, each, frame, self._world, self._resolution, on):
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


def _in_finally(on_failure: OnFailure) -> OnFailure:
    """What runs after the end never starts a rollback."""
    return OnFailure.CONTINUE if on_failure is OnFailure.CONTINUE else OnFailure.STOP
