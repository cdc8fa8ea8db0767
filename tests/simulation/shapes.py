"""Steps inside steps, in every way that the language has: what simulated plans get besides their plain ones.

They are drawn from the digest of the plain plan, so that seeds go on telling the histories that they told.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from pilotage_coordinator.domain.blueprint.parameter import Parameter, ParameterType
from pilotage_coordinator.domain.plan import HostsFrom, Json, OnFailure, PlannedStep, Rollout, StepTypeUse
from pilotage_coordinator.domain.share import Share

from tests.unit.engine.build import SECOND, call, check, gate, group, leaf, tries

MakeLeaf = Callable[[str, Sequence[str]], PlannedStep]
"""Draws a leaf that goes where what is around it goes, from its id and the ids that it depends on."""


class Shapes:
    """Draws one outermost step of a plan, or two of which the second follows the first."""

    def __init__(self, draw: random.Random, hosts: tuple[str, ...], make_leaf: MakeLeaf, type_: StepTypeUse) -> None:
        self._draw = draw
        self._hosts = hosts
        self._leaf = make_leaf
        self._type = type_

    def steps(self) -> list[PlannedStep]:
        """Draw."""
        return self._draw.choice(
            [self._narrow, self._following, self._nested, self._looped, self._called, self._called_again]
        )()

    def _some(self) -> list[str]:
        return self._draw.sample(self._hosts, self._draw.randint(2, len(self._hosts)))

    def _on_failure(self) -> OnFailure:
        return self._draw.choice([OnFailure.STOP, OnFailure.CONTINUE])

    def _narrow(self) -> list[PlannedStep]:
        """A group with steps that are meant for some of its hosts, or for one."""
        hosts = self._some()
        few = tuple(self._draw.sample(hosts, self._draw.randint(1, len(hosts) - 1)))
        first, once = self._leaf("a", []), self._leaf("b", ["a"])
        steps = [replace(first, hosts=few), replace(once, hosts=(self._draw.choice(hosts),), run_once=True)]
        return [group("n0", hosts, [*steps, self._leaf("c", ["b"])], on_failure=self._on_failure())]

    def _following(self) -> list[PlannedStep]:
        """A group whose steps go where an outer step, or one before them, succeeded."""
        hosts = self._some()
        before = replace(self._leaf("n0", []), hosts=tuple(hosts), for_each=None, on_failure=OnFailure.CONTINUE)
        spared = tuple(self._draw.sample(hosts, self._draw.choice([0, 0, 1])))
        first = replace(self._leaf("a", []), hosts_from=HostsFrom("n0", spared))
        second = replace(self._leaf("b", ["a"]), hosts_from=HostsFrom("n1/a"))
        return [before, group("n1", hosts, [first, second], after=["n0"], on_failure=self._on_failure())]

    def _nested(self) -> list[PlannedStep]:
        """Groups in a group, one with a gate of its own."""
        hosts = self._some()
        few = self._draw.sample(hosts, self._draw.randint(1, len(hosts)))
        healthy = gate([check("up", type=self._type, timeout=4 * SECOND)], ["a"], for_=3, within=30)
        gated = group("g", [], [self._leaf("a", []), healthy])
        narrow = group("i", few, [self._leaf("b", [])], after=["g"], finally_=(self._leaf("c", []),))
        return [group("n0", hosts, [gated, narrow, self._leaf("z", ["i"])], on_failure=self._on_failure())]

    def _looped(self) -> list[PlannedStep]:
        """A group that loops: its sequence for each item, with an undo that knows the item."""
        steps = [self._told("a", [], "${{ item }}"), self._told("b", ["a"], "${{ item_key }}")]
        back = leaf("u", type=self._type, parameters={"h": "${{ host.name }}", "i": "${{ item }}"})
        steps[0] = replace(steps[0], undo="steps", undo_steps=(back,)) if self._draw.random() < 0.3 else steps[0]
        rollout = Rollout(max_parallel=self._draw.choice([None, Share(1), Share(2)]))
        last = (self._told("c", [], "${{ item }}"),)
        return [self._over(group("n0", self._some(), steps, rollout=rollout, finally_=last))]

    def _called(self) -> list[PlannedStep]:
        """A call inside a group, with arguments that are another on each host, and that a step before found out."""
        inner = [self._told("a", [], ""), self._told("b", ["a"], "")]
        if self._draw.random() < 0.4:
            inner[1] = replace(inner[1], hosts_from=HostsFrom("n0/c/a"))
        given = {"h": "${{ host.name }}", "i": "${{ '' }}", "v": "${{ steps.look.outputs.made }}"}
        called = self._call("c", inner, given, after=["look"])
        look = replace(check("look", type=self._type), retry=tries(3))
        if self._draw.random() < 0.4:
            called = self._over(replace(called, parameters={**given, "i": "${{ item_key }}"}))
        return [group("n0", self._some(), [look, called, self._leaf("z", ["c"])], on_failure=self._on_failure())]

    def _called_again(self) -> list[PlannedStep]:
        """A call that loops: for each item, steps that go over hosts of their own."""
        hosts = tuple(self._some())
        first, second = (self._going_over(hosts, id, after) for id, after in (("a", []), ("b", ["a"])))
        if self._draw.random() < 0.4:
            second = replace(second, hosts=(), hosts_from=HostsFrom("n0/a"))
        inner = [first, second]
        if self._draw.random() < 0.4:
            inner.append(group("g", hosts, [self._told("x", [], "")], after=["a"]))
        called = self._call("n0", inner, {"i": "${{ item_key }}", "v": 1})
        return [self._over(replace(called, rollout=Rollout(max_parallel=self._draw.choice([None, Share(1)]))))]

    def _going_over(self, hosts: tuple[str, ...], id: str, after: Sequence[str]) -> PlannedStep:
        rollout = replace(self._leaf(id, []).rollout, analysis=(), refresh=(), order_by="")
        return replace(self._told(id, after, ""), hosts=hosts, rollout=rollout)

    def _told(self, id: str, after: Sequence[str], item: str) -> PlannedStep:
        """Draw a leaf that is told its host and its item: by what is around it where `item` is empty."""
        told = {"h": "${{ host.name }}", "i": item or "${{ parameters.i }}"}
        return replace(self._leaf(id, after), for_each=None, parameters=told)

    def _over(self, step: PlannedStep) -> PlannedStep:
        return replace(step, for_each="${{ ['x', 'y'] }}", on_failure=self._on_failure())

    def _call(
        self, id: str, steps: Sequence[PlannedStep], given: Mapping[str, Json], after: Sequence[str] = ()
    ) -> PlannedStep:
        accepts = {name: Parameter(name, ParameterType.STRING) for name in given}
        accepts["v"] = Parameter("v", ParameterType.INTEGER, required=True)
        called = call(id, steps, after, parameters=given, accepts=accepts)
        outputs = {"seen": "${{ count(steps.a.results) }}"}
        return replace(called, conditions={"v": "parameters.v >= 0"}, outputs=outputs)
