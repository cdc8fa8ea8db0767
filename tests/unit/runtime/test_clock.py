"""The machine's clocks: steady through a jump and a suspension, and honest about both."""

import time

import pytest
from pilotage_coordinator.runtime import clock as clock_module
from pilotage_coordinator.runtime.clock import SystemClock

HOUR = 3_600_000_000


class Machine:
    """The clocks of a machine that is suspended and set at will; microseconds."""

    def __init__(self) -> None:
        self.wall, self.boot, self.running = 1_000 * HOUR, 50 * HOUR, 40 * HOUR

    def suspend(self, time: int) -> None:
        self.wall += time
        self.boot += time

    def time_ns(self) -> int:
        return self.wall * 1000

    def clock_gettime_ns(self, clock: int) -> int:
        return {time.CLOCK_BOOTTIME: self.boot, time.CLOCK_MONOTONIC: self.running}[clock] * 1000

    def clock_gettime(self, clock: int) -> float:
        return self.clock_gettime_ns(clock) / 1e9


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine()
    monkeypatch.setattr(clock_module, "time", machine)
    return machine


def test_time_goes_on_while_the_machine_is_suspended(machine: Machine) -> None:
    clock = SystemClock()
    before, seconds = clock.now(), clock.monotonic()
    machine.suspend(8 * HOUR)
    assert clock.now() - before == 8 * HOUR
    assert clock.monotonic() - seconds == 8 * 3600
    assert clock.wall_difference() == 0


@pytest.mark.parametrize("jump", [HOUR, -HOUR])
def test_a_clock_that_is_set_moves_the_wall_alone(machine: Machine, jump: int) -> None:
    clock = SystemClock()
    before = clock.now()
    machine.wall += jump
    assert clock.now() == before
    assert clock.wall() == before + jump
    assert clock.wall_difference() == jump


def test_a_small_correction_is_followed(machine: Machine) -> None:
    clock = SystemClock()
    machine.wall += 200_000
    assert clock.now() == machine.wall
