"""The queue of times against a plain dictionary."""

from hypothesis import given
from hypothesis import strategies as st
from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_coordinator.domain.execution.timers import Timer, TimerKind, Timers

STEPS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9)), max_size=60)


@given(steps=STEPS)
def test_the_first_timer_is_always_the_earliest(steps: list[tuple[int, int]]) -> None:
    timers, model = Timers(), dict[Timer, int]()
    for name, at in steps:
        timer = Timer(TimerKind.RETRY, RunKey(f"s{name}"))
        if at:
            timers, model[timer] = timers.set(timer, at), at
        else:
            timers = timers.unset(timer)
            model.pop(timer, None)
        assert dict(timers.times) == model
        expected = min(((at, timer) for timer, at in model.items()), default=None)
        assert timers.first() == expected


def test_many_timers_do_not_nest_too_deep() -> None:
    timers = Timers()
    for number in range(20_000):
        timers = timers.set(Timer(TimerKind.RETRY, RunKey(f"s{number}")), 20_000 - number)
    for number in reversed(range(20_000)):
        timers = timers.unset(Timer(TimerKind.RETRY, RunKey(f"s{number}")))
    assert timers.first() is None
    assert timers == Timers()
