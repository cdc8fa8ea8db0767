"""From the steps of a blueprint to the steps of a plan."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, Protocol

from pilotage_coordinator.domain import plan
from pilotage_coordinator.domain.blueprint.model import OnFailure, Place, Rollout, Step, StepKind, Undo
from pilotage_coordinator.domain.blueprint_files import file_parameters, key_of, wrong_use
from pilotage_coordinator.domain.errors import DomainError
from pilotage_coordinator.domain.plan import (
    Effect,
    FailureKind,
    HostsFrom,
    PlannedStep,
    RolloutFailure,
    StepTypeUse,
)
from pilotage_coordinator.domain.planning.approvals import approvals_of
from pilotage_coordinator.domain.planning.around import Around, in_order
from pilotage_coordinator.domain.planning.bench import Bench, Frame, reason
from pilotage_coordinator.domain.planning.capabilities import Pinned, pin_step_type, use_of
from pilotage_coordinator.domain.planning.channels import unknown_channels
from pilotage_coordinator.domain.planning.depends import Depends
from pilotage_coordinator.domain.planning.ground import Ground, Grounds
from pilotage_coordinator.domain.planning.json_form import plain
from pilotage_coordinator.domain.planning.leaf_values import LeafValues, Looked
from pilotage_coordinator.domain.planning.reads import Reads
from pilotage_coordinator.domain.planning.resolution import Resolution, View
from pilotage_coordinator.domain.planning.rollout_steps import RolloutSteps
from pilotage_coordinator.domain.planning.secrets import misplaced_secrets
from pilotage_coordinator.domain.planning.settings import limits_of, on_failure_of, rollout_of
from pilotage_coordinator.domain.planning.unbuilt import unbuilt_in_step
from pilotage_coordinator.domain.step_type import StepTypeInfo

MOST_STEPS = 5_000
"""Steps of one plan, called blueprints included (ARCHITECTURE: Limits)."""


class CallPlanner(Protocol):
    """Plans a step that calls a blueprint."""

    def __call__(self, step: Step, around: Around, path: str) -> PlannedStep:
        """Return the call with its steps inside; problems go to the bench."""
        ...


class StepPlanner:
    """Plans every kind of step."""

    def __init__(self, bench: Bench, resolution: Resolution, call: CallPlanner) -> None:
        self._bench = bench
        self._resolution = resolution
        self._grounds = Grounds(bench, resolution)
        self._rollouts = RolloutSteps(bench, self.siblings)
        self._call = call

    def siblings(self, steps: Sequence[Step], around: Around) -> tuple[PlannedStep, ...]:
        """Plan a list of siblings, each after what it depends on; returned in the order written."""
        found = {step.id: self.step(step, around) for step in in_order(steps)}
        return tuple(found[step.id] for step in steps)

    def step(self, step: Step, around: Around) -> PlannedStep:
        """Plan one step with all inside it."""
        path = around.path(step.id)
        self._bench.steps += 1
        if self._bench.steps == MOST_STEPS + 1:
            fix = "make several blueprints of it"
            self._bench.refuse(FailureKind.PARAMETER, f"the plan has more than {MOST_STEPS} steps", fix, path=path)
            self._bench.check()
        for message, fix in unbuilt_in_step(step):
            self._bench.refuse_step(FailureKind.PARAMETER, step, path, message, fix)
        if around.frame.on_host and around.in_group:
            step = self._for_one_host(step, around, path)
        match step.kind:
            case StepKind.CALL:
                planned = self._call(step, around, path)
            case StepKind.GROUP:
                planned = self._group(step, around, path)
            case _ if step.rollout is not None and step.rollout.health is not None:
                planned = self._gated_leaf(step, around, path)
            case _:
                planned = self._leaf(step, around, path)
        return replace(
            planned,
            name=step.name,
            dependencies=tuple(around.path(each) for each in step.dependencies),
            when=step.when or "",
            on_failure=on_failure_of(step, around),
            irreversible=step.irreversible and planned.kind is step.kind,
            approvals=approvals_of(step, around),
        )

    def _group(self, step: Step, around: Around, path: str) -> PlannedStep:
        frame = around.frame
        ground = self._grounds.of(step, around, path)
        active, unsure = self.active(step, around, path, ground.looked_at)
        frame.hosts_of[step.id] = ground.looked_at
        looked = self._loop_of_group(step, around, path, active, unsure)
        loop = looked.loop(step.max_items) if step.for_each is not None else around.loop
        inner = Around(frame, path, active, around.lenient or unsure, OnFailure.STOP, loop)
        steps = self.siblings(step.steps, inner)
        return PlannedStep(
            path=path,
            kind=StepKind.GROUP,
            hosts=ground.own,
            hosts_from=ground.hosts_from,
            run_once=step.run_once,
            for_each=step.for_each,
            key=step.key or "",
            max_items=step.max_items,
            planned_items=looked.items,
            rollout=self._rollout(step, around, path),
            steps=(*steps, *self._rollouts.gate(step.rollout, steps, inner)),
            finally_=self.siblings(step.finally_, inner),
            undo=step.undo.value,
            undo_steps=self._undo(step, replace(around, loop=loop), path, active),
            **limits_of(step, frame),
        )

    def _gated_leaf(self, step: Step, around: Around, path: str) -> PlannedStep:
        """Plan a leaf with a health gate: a group of its name, which holds the leaf and then the gate."""
        frame = around.frame
        ground = self._grounds.of(step, around, path)
        active, unsure = self.active(step, around, path, ground.looked_at)
        inner = Around(frame, path, active, around.lenient or unsure, OnFailure.STOP, around.loop)
        bare = replace(step, rollout=None, when=None, targets=None)
        leaf = self._leaf(bare, inner, inner.path(step.id))
        leaf = replace(leaf, name=step.name, on_failure=OnFailure.STOP, irreversible=step.irreversible)
        frame.hosts_of[step.id] = ground.looked_at
        return PlannedStep(
            path=path,
            kind=StepKind.GROUP,
            hosts=ground.own,
            hosts_from=ground.hosts_from,
            rollout=self._rollout(step, around, path),
            steps=(leaf, *self._rollouts.gate(step.rollout, (leaf,), inner)),
        )

    def _loop_of_group(self, step: Step, around: Around, path: str, hosts: tuple[str, ...], unsure: bool) -> Looked:
        if step.for_each is None:
            return Looked({}, {})
        return self.look(step, replace(around, lenient=around.lenient or unsure), path, hosts, {})

    def look(
        self, step: Step, around: Around, path: str, hosts: Sequence[str], parameters: Mapping[str, Any]
    ) -> Looked:
        """Resolve the loop of a group or a call, and the arguments of a call, on its hosts ("" = none)."""
        self._refuse_nested(step, around, path)
        values = LeafValues(self._bench, self._resolution, around.frame, step, path, around.loop)
        before = self._bench.step_runs
        looked = self._look(values, step, around, Ground((), tuple(hosts)), parameters, path)
        self._bench.step_runs = before
        return looked

    def waits(self, step: Step, around: Around, path: str) -> bool:
        """Return whether an answer is missing that a call depends on."""
        try:
            references = LeafValues(self._bench, self._resolution, around.frame, step, path).references(step.parameters)
        except DomainError as error:
            self._bench.refuse_step(FailureKind.PARAMETER, step, path, reason(error))
            return True
        waits = self._resolution.waits(references, around.frame)
        self._bench.waiting = self._bench.waiting or waits
        return waits

    def _refuse_nested(self, step: Step, around: Around, path: str) -> None:
        """Refuse a loop in a loop, which the loader cannot see where a call stands between."""
        if step.for_each is not None and around.loop is not None:
            message = "it loops, and stands inside a for_each: loops do not nest"
            fix = "loop over one list that holds the pairs"
            self._bench.refuse_step(FailureKind.PARAMETER, step, path, message, fix)

    def active(self, step: Step, around: Around, path: str, hosts: tuple[str, ...]) -> tuple[tuple[str, ...], bool]:
        """Return the hosts on which a group or a call may run, and whether only run time knows its `when`."""
        found = {host: self.runs(step, around, path, host) for host in hosts}
        return tuple(host for host in hosts if found[host][0]), any(unsure for _, unsure in found.values())

    def runs(self, step: Step, around: Around, path: str, host: str) -> tuple[bool, bool]:
        """Return whether a group or a call may run on a host ("" = none), and whether only run time tells."""
        if step.when is None:
            return True, False
        view = View(around.frame, host)
        try:
            references = self._resolution.condition_references(step.when)
            if self._resolution.waits(references, around.frame):
                self._bench.waiting = True
                return True, True
            if self._resolution.depends(references, view) is Depends.RUN_TIME:
                return True, True
            runs = self._resolution.condition(step.when, view)
        except DomainError as error:
            self._bench.refuse(FailureKind.PARAMETER, reason(error), path=path, host=host, at=step.at)
            return True, True
        self._bench.know_when(path, host, runs)
        return runs, False

    def _leaf(self, step: Step, around: Around, path: str) -> PlannedStep:
        frame = around.frame
        own_type = self._bench.world.step_types.get(step.type)
        place = self._place(step, own_type, path)
        once = own_type is not None and own_type.once
        ground = self._grounds.of_leaf(step, around, path, place, once=once)
        parameters = self._parameters(step, around, ground.looked_at)
        self._refuse_nested(step, around, path)
        values = LeafValues(self._bench, self._resolution, frame, step, path, around.loop)
        looked = self._look(values, step, around, ground, parameters, path)
        active = tuple(host for host in ground.looked_at if looked.runs_on(host))
        if own_type is not None:
            pinned = Pinned(own_type, use_of(own_type))
        else:
            pinned = self._pin(step, parameters, active, path)
        if pinned.info is not None:
            for problem in misplaced_secrets(pinned.info, parameters, looked.resolved, path):
                self._bench.add(replace(problem, at=step.at))
        for problem in unknown_channels(step.type, parameters, looked.resolved, path, self._bench.world.channels):
            self._bench.add(replace(problem, at=step.at))
        frame.hosts_of[step.id] = ground.looked_at
        files = self._files(step, pinned.info, around.frame, parameters, path)
        planned = PlannedStep(
            path=path,
            kind=StepKind.LEAF,
            type=pinned.use or StepTypeUse(step.type),
            effect=self._effect(step, pinned.info, path, looped=around.loop is not None),
            destructive=pinned.info is not None and pinned.info.destructive,
            place=place,
            type_on=pinned.on,
            parameters=parameters,
            files=files,
            hosts=ground.looked_at if step.at_plan else ground.own,
            hosts_from=ground.hosts_from,
            run_once=step.run_once and not frame.on_host,
            for_each=step.for_each,
            key=step.key or "",
            max_items=step.max_items,
            rollout=self._rollout(step, around, path),
            on_unknown=step.on_unknown.value,
            undo=_undo_of(step, pinned.info),
            undo_steps=self._undo(step, self._in_own_loop(step, around, looked), path, active),
            sensitive_outputs=step.sensitive_outputs,
            at_plan=step.at_plan,
            planned_items=looked.items,
            **limits_of(step, frame),
        )
        if step.at_plan:
            planned = replace(planned, planned_outputs=self._read(values, step, around, planned, active))
        return planned

    def _look(
        self,
        values: LeafValues,
        step: Step,
        around: Around,
        ground: Ground,
        parameters: Mapping[str, Any],
        path: str,
    ) -> Looked:
        """Resolve the leaf's expressions on its hosts and keep what they come to."""
        frame = around.frame
        try:
            references = values.references(parameters)
            loop = self._resolution.tree_references([step.for_each, step.key])
        except DomainError as error:
            self._bench.refuse_step(FailureKind.PARAMETER, step, path, reason(error))
            return Looked({}, {})
        if self._resolution.sensitive(loop, frame):
            message = "for_each and key use a sensitive parameter, but keys of items are shown everywhere"
            self._bench.refuse_step(FailureKind.PARAMETER, step, path, message, "loop over what is not sensitive")
            return Looked({}, {})
        if self._resolution.waits(references, frame):
            self._bench.waiting = True
            return Looked({}, {})
        # A step whose hosts are decided while running reads hosts that may drop out before.
        looked = values.look(ground.looked_at, parameters, around.lenient or ground.hosts_from is not None)
        if looked.resolved:
            self._bench.resolved[path] = looked.resolved
        self._bench.step_runs += _count(looked.runs, ground.hosts_from)
        return looked

    def _read(
        self,
        values: LeafValues,
        step: Step,
        around: Around,
        planned: PlannedStep,
        hosts: tuple[str, ...],
    ) -> dict[str, Any]:
        try:
            references = values.references(planned.parameters)
        except DomainError:
            return {}
        return Reads(self._bench, self._resolution, around.frame, step, planned).gather(hosts, references)

    def _files(
        self, step: Step, info: StepTypeInfo | None, frame: Frame, parameters: Mapping[str, Any], path: str
    ) -> dict[str, str]:
        """Look up the files that a leaf names: parameter to the key of the text, which goes to the bench."""
        files = frame.stored.blueprint.files
        found: dict[str, str] = {}
        for name in file_parameters(info.params_schema) if info is not None else ():
            value = parameters.get(name)
            if value is None:
                continue
            if wrong := wrong_use(value, files):
                at = frame.stored.blueprint.position((*step.path, "parameters", name))
                self._bench.refuse(FailureKind.PARAMETER, f"parameters.{name}: {wrong[0]}", wrong[1], path=path, at=at)
                continue
            found[name] = key_of(files[value])
            self._bench.files[found[name]] = files[value]
        return found

    def _undo(self, step: Step, around: Around, path: str, hosts: tuple[str, ...]) -> tuple[PlannedStep, ...]:
        if step.undo is not Undo.STEPS:
            return ()
        # What an undo reads exists only once the step has run.
        inner = Around(around.frame, path, hosts, lenient=True, on_failure=OnFailure.STOP, loop=around.loop)
        before = self._bench.step_runs
        planned = self.siblings(step.undo_steps, inner)
        self._bench.step_runs = before
        return planned

    def _parameters(self, step: Step, around: Around, hosts: tuple[str, ...]) -> dict[str, Any]:
        """Return the leaf's parameters, with `user` and `env` of the defaults where its type takes them."""
        parameters: dict[str, Any] = plain(step.parameters)
        defaults = around.frame.defaults
        if defaults.user is None and not defaults.env:
            return parameters
        inventory = self._bench.world.inventory
        infos = (inventory[name].step_types.get(step.type) for name in hosts if name)
        known: Any = next((info.params_schema.get("properties", {}) for info in infos if info is not None), {})
        if defaults.user is not None and "user" in known and "user" not in parameters:
            parameters["user"] = defaults.user
        if defaults.env and "env" in known and isinstance(parameters.get("env", {}), dict):
            parameters["env"] = {**defaults.env, **parameters.get("env", {})}
        return parameters

    def _place(self, step: Step, own_type: StepTypeInfo | None, path: str) -> Place:
        if own_type is None:
            if step.place is Place.COORDINATOR:
                message = f"{step.type} cannot run on the coordinator, which runs no plugins"
                self._bench.refuse_step(FailureKind.PARAMETER, step, path, message, "remove `place: coordinator`")
            return Place.HOST
        if step.place is Place.HOST:
            message = f"{step.type} runs on the coordinator alone"
            self._bench.refuse_step(FailureKind.PARAMETER, step, path, message, "remove `place: host`")
        return Place.COORDINATOR

    def _pin(self, step: Step, parameters: Mapping[str, Any], hosts: tuple[str, ...], path: str) -> Pinned:
        inventory = self._bench.world.inventory
        pinned = pin_step_type(step.type, parameters, [inventory[name] for name in hosts if name])
        for name in hosts:
            if name and (why := inventory[name].why_not(step.type)):
                self._bench.note(f"it cannot run {step.type} now: {why}", path, name)
        for misfit in pinned.misfits:
            self._bench.refuse(FailureKind.TARGET, misfit.message, misfit.fix, path=path, host=misfit.host, at=step.at)
        return pinned

    def _effect(self, step: Step, info: StepTypeInfo | None, path: str, *, looped: bool) -> Effect:
        if info is None:
            return step.effect or Effect.ONCE
        effect = step.effect or info.effect
        if effect is not info.effect and effect not in info.author_effects:
            message = f"{step.type} has the effect `{info.effect}`; a blueprint may not declare `{effect}`"
            self._bench.refuse_step(FailureKind.PARAMETER, step, path, message, "remove `effect`")
        if step.at_plan and effect is not Effect.READ:
            message = f"at_plan: {step.type} has the effect `{effect}`, and planning changes nothing"
            self._bench.refuse_step(FailureKind.PARAMETER, step, path, message, "only effect `read` can run at plan")
        if step.at_plan and looped:
            message = "at_plan: it is called inside a for_each, and what it finds would be another for each item"
            self._bench.refuse_step(FailureKind.PARAMETER, step, path, message, "call its blueprint once")
        if step.at_plan and info.place is Place.COORDINATOR:
            self._bench.refuse_step(FailureKind.PARAMETER, step, path, "at_plan is for steps that run on hosts")
        return effect

    def _in_own_loop(self, step: Step, around: Around, looked: Looked) -> Around:
        return replace(around, loop=looked.loop(step.max_items)) if step.for_each is not None else around

    def _for_one_host(self, step: Step, around: Around, path: str) -> Step:
        """Return a step of a blueprint that is called inside a group, as it is where there is one host only.

        A window and batches over one host are none; what would be judged or reverted host by host is refused.
        """
        targets, rollout = step.targets, step.rollout
        if targets is not None and targets.from_step is not None:
            step = replace(step, targets=replace(targets, limit=None, order="name"))
        if rollout is None or step.for_each is not None:
            return step
        for key, written in (
            ("analysis", bool(rollout.analysis)),
            ("on_failure", rollout.on_failure is not RolloutFailure.STOP),
        ):
            if written:
                message = f"its blueprint is called inside a group, host by host: rollout.{key} has nothing to act on"
                fix = "call it beside the group, or write it on the group"
                self._bench.refuse_step(FailureKind.PARAMETER, step, path, message, fix)
        tolerated = self._rollout(replace(step, rollout=Rollout(max_failures=rollout.max_failures)), around, path)
        health = None if rollout.health is None else Rollout(health=rollout.health)
        absorbed = tolerated.max_failures is not None and tolerated.max_failures.of(1) > 0
        return replace(step, rollout=health, on_failure=OnFailure.CONTINUE if absorbed else step.on_failure)

    def _rollout(self, step: Step, around: Around, path: str) -> plan.Rollout:
        try:
            rollout = rollout_of(step.rollout, around.frame, self._resolution)
        except DomainError as error:
            self._bench.refuse_step(FailureKind.PARAMETER, step, path, f"rollout: {reason(error)}")
            return plan.Rollout()
        return rollout if step.rollout is None else self._rollouts.with_steps(rollout, step, around, path)


def _count(runs: Mapping[str, int], hosts_from: HostsFrom | None) -> int:
    """Return how many step runs there are at most; of hosts decided while running, only as many as are taken."""
    most = sorted(runs.values(), reverse=True)
    if hosts_from is not None and hosts_from.limit is not None:
        most = most[: hosts_from.limit.of(len(most))]
    return sum(most)


def _undo_of(step: Step, info: StepTypeInfo | None) -> Literal["auto", "none", "steps"]:
    """Return how a rollback compensates a step: not at all where its type cannot, so that the plan says so before."""
    if step.undo is Undo.AUTO and info is not None and not info.has_undo and info.effect is not Effect.READ:
        return "none"
    return step.undo.value
