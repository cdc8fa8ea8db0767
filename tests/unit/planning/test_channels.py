"""Where a plan's notifications go is known when it is planned."""

import pytest
from pilotage_coordinator.domain.plan import Effect, Place
from pilotage_coordinator.domain.planning.errors import PlanRefused
from pilotage_coordinator.domain.planning.planner import make_plan
from pilotage_coordinator.domain.planning.request import Planned, PlanRequest
from pilotage_coordinator.steps.catalogue import coordinator_types

from tests.unit.planning.fleet import THREE, step, stored, world

TEXT = """
parameters: {{channel: {{type: string, default: ops}}, key: {{type: string, sensitive: true, default: x}}}}
targets: {{hosts: [db1, db2]}}
steps:
  - {{id: a, type: notify.send, parameters: {parameters}}}
"""


def planned(parameters: str) -> Planned:
    where = world(THREE, step_types=coordinator_types(), channels=("ops", "mail"))
    found = make_plan(PlanRequest(stored(TEXT.format(parameters=parameters)), {}), where)
    assert isinstance(found, Planned)
    return found


@pytest.mark.parametrize("to", ["ops", '"${{ parameters.channel }}"'])
def test_it_is_sent_once_on_the_coordinator_and_has_no_undo(to: str) -> None:
    found = step(planned(f"{{to: {to}, text: hello}}"), "a")
    assert (found.place, found.effect, found.undo, found.hosts) == (Place.COORDINATOR, Effect.ONCE, "none", ())


@pytest.mark.parametrize("to", ["pos", '"${{ parameters.channel }}s"'])
def test_an_unknown_channel_is_refused_with_those_there_are(to: str) -> None:
    with pytest.raises(PlanRefused) as refused:
        planned(f"{{to: {to}, text: hello}}")
    (problem,) = refused.value.problems
    assert "there is no channel" in problem.message
    assert "configured are `mail`, `ops`" in problem.message
    assert "[channels." in problem.fix


@pytest.mark.parametrize(
    "text", ["secret://db/password", "see secret://db/password", "${{ parameters.key }}", "it is ${{ parameters.key }}"]
)
def test_a_secret_is_refused(text: str) -> None:
    with pytest.raises(PlanRefused) as refused:
        planned(f'{{to: ops, text: "{text}"}}')
    assert "notify.send does not resolve secrets" in refused.value.problems[0].message
