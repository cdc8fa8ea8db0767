"""A failpoint that does not exist is refused: a test that armed it would pass without having tested anything."""

import pytest
from pilotage_coordinator.runtime.failpoint import FAILPOINTS, VARIABLE, FailpointRefused, Failpoints


@pytest.mark.parametrize(
    "armed", ["coordinator.change.before", "coordinator.", f"{FAILPOINTS[0]}:0", f"{FAILPOINTS[0]}:x"]
)
def test_what_cannot_be_armed_is_refused_by_name(armed: str) -> None:
    with pytest.raises(FailpointRefused, match=armed.partition(":")[0]):
        Failpoints.from_environment({VARIABLE: armed})


@pytest.mark.parametrize("armed", ["", "agent.hello.sent", "worker.begun:3"])
def test_what_other_processes_know_is_left_to_them(armed: str) -> None:
    failpoints = Failpoints.from_environment({VARIABLE: armed})
    for name in FAILPOINTS:
        failpoints.reach(name)
