"""From a step that calls a blueprint to the called steps inside it: once, for each host of a group, for each item."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final, Protocol

from pilotage_coordinator.domain.blueprint.errors import did_you_mean
from pilotage_coordinator.domain.blueprint.model import Blueprint, Step
from pilotage_coordinator.domain.plan import FailureKind, PlannedStep, StepKind
from pilotage_coordinator.domain.planning.around import Around
from pilotage_coordinator.domain.planning.bench import Bench, Frame, reason
from pilotage_coordinator.domain.planning.called import Arguments, accepted
from pilotage_coordinator.domain.planning.errors import BlueprintUnreadable
from pilotage_coordinator.domain.planning.request import StoredBlueprint
from pilotage_coordinator.domain.planning.resolution import Resolution
from pilotage_coordinator.domain.planning.settings import limits_of, merged, rollout_of
from pilotage_coordinator.domain.planning.steps import StepPlanner

DEEPEST_CALL: Final = 4

Inside = tuple[tuple[PlannedStep, ...], tuple[PlannedStep, ...]]
"""The steps of a blueprint, and those of its `finally`."""


class Frames(Protocol):
    """Plans what stands inside a call."""

    def settle(self, frame: Frame, around: tuple[str, ...] | None) -> None:
        """Find the targets of a frame; `around` are the caller's, or the hosts of the group around the call."""
        ...

    def inside(self, around: Around) -> Inside:
        """Return the steps of the frame of `around`."""
        ...


class Calls:
    """Plans calls; problems go to the bench."""

    def __init__(self, bench: Bench, resolution: Resolution, steps: StepPlanner, frames: Frames) -> None:
        self._bench = bench
        self._resolution = resolution
        self._steps = steps
        self._frames = frames
        self._stack: list[str] = []
        """Ids of the blueprints around, outermost first."""

    @contextmanager
    def within(self, blueprint: Blueprint) -> Iterator[None]:
        """Count a blueprint among those around what is planned meanwhile."""
        self._stack.append(blueprint.id)
        yield
        self._stack.pop()

    def plan(self, step: Step, around: Around, path: str) -> PlannedStep:
        """Plan a step that calls a blueprint; the blueprint's steps stand inside it."""
        planned = PlannedStep(path=path, kind=StepKind.CALL, **limits_of(step, around.frame))
        hosts, unsure = self._steps.active(step, around, path, around.hosts if around.hosts is not None else ("",))
        if not hosts:
            if not around.in_group:
                self._bench.note("left out: its condition does not hold", path)
            return planned
        stored = self._called(step, path)
        if stored is None:
            return planned
        blueprint = stored.blueprint
        arguments = Arguments(self._bench, self._resolution, step, around, path)
        given = None if self._steps.waits(step, around, path) else arguments.given(blueprint)
        shared = None if given is None else arguments.known(blueprint, given)
        if given is None or shared is None:
            return planned
        before = len(self._bench.problems)
        looked = self._steps.look(step, replace(around, lenient=around.lenient or unsure), path, hosts, given.late)
        own = arguments.own(blueprint, given, shared, looked.resolved)
        if len(self._bench.problems) > before:
            return planned
        if own.resolved:
            self._bench.resolved[path] = own.resolved
        defaults = merged(around.frame.defaults, blueprint.defaults)
        frame = Frame(path, stored, shared.real, shared.sensitive, defaults)
        frame.on_host, frame.late, frame.own = around.in_group, given.depends, own.values
        self._frames.settle(frame, hosts if frame.on_host else around.frame.targets)
        loop = looked.loop(step.max_items) if step.for_each is not None else around.loop
        group = (frame.targets or ()) if frame.on_host else None
        steps, finally_ = self._frames.inside(Around(frame, path, group, around.lenient or unsure, loop=loop))
        around.frame.hosts_of[step.id] = group or ()
        if hidden := shared.hidden():
            self._bench.sensitive[path] = hidden
        deadlines = [each for each in (step.deadline, blueprint.deadline) if each]
        return replace(
            planned,
            call=stored.ref,
            hosts=group if group is not None and group != hosts else (),
            targets=frame.targets or (),
            arguments=shared.shown(self._bench.world.sensitive_key, path),
            parameters=given.late,
            accepts=accepted(blueprint, tuple(given.late)),
            conditions=arguments.conditions(blueprint, given),
            for_each=step.for_each,
            key=step.key or "",
            max_items=step.max_items,
            planned_items=looked.items,
            rollout=rollout_of(step.rollout, around.frame, self._resolution),
            outputs=dict(blueprint.outputs),
            deadline=min(deadlines, default=0),
            steps=steps,
            finally_=finally_,
        )

    def _called(self, step: Step, path: str) -> StoredBlueprint | None:
        call = step.call
        assert call is not None, "the loader gives every call its blueprint"
        library = self._bench.world.library
        if call.id in self._stack:
            circle = " → ".join([*self._stack[self._stack.index(call.id) :], call.id])
            fix = "a blueprint never calls itself, not even through others"
            self._bench.refuse_step(FailureKind.PARAMETER, step, path, f"{circle} calls itself", fix)
            return None
        if len(self._stack) > DEEPEST_CALL:
            message = f"blueprints call each other deeper than {DEEPEST_CALL}"
            self._bench.refuse_step(FailureKind.PARAMETER, step, path, message, "call fewer one inside the other")
            return None
        pinned = self._bench.request.pins.blueprints.get(path)
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
