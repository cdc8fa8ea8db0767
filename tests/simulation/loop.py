"""Simulated time and simulated processes: an event loop that never waits, and whose callbacks belong to processes.

When nothing is ready, time jumps to the next timer. A process that was killed runs nothing any more: no `finally`, no
`except`, no timer; that is what kill -9 and a power cut mean, and what cancelling its tasks would not show.
"""

import asyncio
import contextlib
import contextvars
import heapq
import inspect
import random
import warnings
from collections.abc import Callable, Coroutine, Generator
from typing import Any, TypeVar

T = TypeVar("T")

MOST_TURNS = 300_000
"""Turns of the loop after which a run is given up: common ones need some thousands."""


class Stuck(AssertionError):
    """Nothing is ready and no timer is set: whoever waits would wait for ever."""


class Process:
    """One simulated operating system process. `steps` counts its callbacks: each await ends one."""

    def __init__(self, name: str, loop: "SimulatedLoop") -> None:
        self.name = name
        self.dead = False
        self.steps = 0
        self.fuse = 0
        """The step at which it dies; 0 = none is lit."""
        self.tasks: list[asyncio.Task[Any]] = []
        self.on_death: Callable[[], None] = lambda: None
        self._loop = loop
        self._context = contextvars.copy_context()
        self._context.run(_PROCESS.set, self)

    def light(self, steps: int) -> None:
        """Let it die after so many more steps."""
        self.fuse = self.steps + max(1, steps)

    def kill(self) -> None:
        """End it here and now."""
        if not self.dead:
            self.dead = True
            self.on_death()

    def start(self, work: Coroutine[Any, Any, T], name: str) -> "asyncio.Task[T]":
        """Run a coroutine inside the process."""
        return self._loop.create_task(work, name=name, context=self._context)


_PROCESS: contextvars.ContextVar[Process | None] = contextvars.ContextVar("process", default=None)


class _Handle(asyncio.Handle):
    """A callback of a process."""

    __slots__ = ("_owner",)

    def __init__(self, callback: Any, args: Any, loop: Any, context: contextvars.Context | None) -> None:
        super().__init__(callback, args, loop, context)
        self._owner: Process | None = self._context.get(_PROCESS)  # type: ignore[attr-defined]

    def _run(self) -> None:
        if _may_run(self._owner):
            super()._run()


class _TimerHandle(asyncio.TimerHandle):
    """A timer of a process."""

    __slots__ = ("_owner",)

    def __init__(self, when: float, callback: Any, args: Any, loop: Any, context: contextvars.Context | None) -> None:
        super().__init__(when, callback, args, loop, context)
        self._owner: Process | None = self._context.get(_PROCESS)  # type: ignore[attr-defined]

    def _run(self) -> None:
        if _may_run(self._owner):
            super()._run()


def _may_run(owner: Process | None) -> bool:
    if owner is None:
        return True
    if owner.dead:
        return False
    owner.steps += 1
    if owner.steps == owner.fuse:
        owner.kill()
        return False
    return True


class _Task(asyncio.Task[Any]):
    """Hashed by its number, so that sets of tasks have the same order in every run."""

    def __init__(self, number: int, coroutine: Any, **more: Any) -> None:
        self.number = number
        super().__init__(coroutine, **more)

    def __hash__(self) -> int:
        return self.number


class _Future(asyncio.Future[Any]):
    """Hashed by its number, too."""

    def __init__(self, number: int, loop: Any) -> None:
        self.number = number
        super().__init__(loop=loop)

    def __hash__(self) -> int:
        return self.number


class SimulatedLoop(asyncio.BaseEventLoop):
    """An event loop without threads, sockets or waiting. `time` is virtual seconds from 0."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._turns = 0
        self._numbers = 0
        self._selector = self
        self.world = contextvars.copy_context()
        """The context of what belongs to no process: networks, disks, workers, people."""
        self.tasks: list[asyncio.Task[Any]] = []
        self.failures: list[str] = []
        """Exceptions that came out of callbacks."""
        self.set_task_factory(self._make_task)
        self.set_exception_handler(self._note_failure)

    def time(self) -> float:
        return self._now

    def create_future(self) -> "asyncio.Future[Any]":
        self._numbers += 1
        return _Future(self._numbers, self)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Any, *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        timer = _TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._scheduled, timer)  # type: ignore[attr-defined]
        timer._scheduled = True  # type: ignore[attr-defined]
        return timer

    def later(self, delay: float, callback: Callable[..., object], *args: Any) -> asyncio.TimerHandle:
        """Call back on behalf of the world, whoever asks."""
        return self.call_at(self._now + delay, callback, *args, context=self.world)

    def start(self, work: Coroutine[Any, Any, T], name: str) -> "asyncio.Task[T]":
        """Run a coroutine on behalf of the world, whoever asks."""
        return self.create_task(work, name=name, context=self.world)

    # The selector: waiting is a jump of the clock.

    def select(self, timeout: float | None) -> list[Any]:
        """Let virtual time pass."""
        if timeout is None:
            raise Stuck("nothing is ready and no timer is set")
        self._turns += 1
        if self._turns > MOST_TURNS:
            raise Stuck(f"it goes round and round: {MOST_TURNS} turns of the loop in {self._now:.0f} s")
        if timeout > 0:
            self._now = max(self._now, self._scheduled[0]._when)  # type: ignore[attr-defined]
        return []

    def _process_events(self, events: Any) -> None:
        pass

    def _write_to_self(self) -> None:
        pass

    def _call_soon(self, callback: Any, args: Any, context: Any) -> asyncio.Handle:
        handle = _Handle(callback, args, self, context)
        self._ready.append(handle)  # type: ignore[attr-defined]
        return handle

    def _make_task(self, loop: Any, coroutine: Any, **more: Any) -> "asyncio.Task[Any]":
        self._numbers += 1
        context = more.get("context")
        task = _Task(self._numbers, coroutine, loop=self, **more)
        owner = _PROCESS.get() if context is None else context.get(_PROCESS)
        (self.tasks if owner is None else owner.tasks).append(task)
        return task

    def _note_failure(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        message = str(context.get("message", ""))
        if message.startswith("Exception in callback"):
            self.failures.append(f"{message}: {context.get('exception')!r}")


@contextlib.contextmanager
def simulated_loop() -> Generator[SimulatedLoop, None, None]:
    """Give a loop, and clean up after it."""
    loop = SimulatedLoop()
    try:
        yield loop
    finally:
        loop.close()


def bury(tasks: list["asyncio.Task[Any]"]) -> None:
    """Let go of tasks that will never run again, without a word from their `finally` blocks.

    Call it when the run is over and every port is dead: the blocks run, and whatever they do goes nowhere.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for task in tasks:
            if task.done():
                if not task.cancelled():
                    task.exception()
                continue
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            coroutine = task.get_coro()
            for _ in range(50):
                if inspect.getcoroutinestate(coroutine) == inspect.CORO_CLOSED:  # type: ignore[arg-type]
                    break
                with contextlib.suppress(BaseException):
                    coroutine.close()
    tasks.clear()


def spread(random_: random.Random, least: float, most: float) -> float:
    """Draw a duration, with many short ones: uniform in its logarithm."""
    return float(least * (most / least) ** random_.random())
