"""Steps inside steps, in every way that the language has: what simulated plans get besides their plain ones.

They are drawn from the digest of the plain plan, so that seeds go on telling the histories that they told.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

from pilotage_coordinator.domain.plan import HostsFrom, OnFailure, PlannedStep, StepTypeUse

from tests.unit.engine.build import SECOND, check, gate, group

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
        return self._draw.choice([self._narrow, self._following, self._nested])()

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
