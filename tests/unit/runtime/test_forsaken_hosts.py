"""What was open on a host that never returns: settled when it is revoked, or at the next start."""

import asyncio
import contextlib

from pilotage_coordinator.runtime.executor import Executor
from pilotage_coordinator.store.sqlite.inline import SimulatedDisk
from pilotage_proto.attempt import AttemptKey, AttemptKind

from tests.unit.engine.build import leaf, plan
from tests.unit.runtime.test_executor import _desk


async def test_it_becomes_unknown_with_evidence() -> None:
    desk = await _desk(SimulatedDisk())
    await desk.start("exe_1", plan(leaf("a", "h1", "h2")))
    await desk.executor.forsake("h1")
    await desk.executor.close()
    runs = {run.key.host: str(run.status) for run in (await desk.executor.state("exe_1")).runs.values()}
    assert runs == {"h1": "unknown", "h2": "assigned"}
    attempt = await desk.store.executions.attempt(AttemptKey("exe_1", "a", "h1", "", AttemptKind.RUN, 1))
    assert attempt.evidence == {"host": "revoked"}
    await desk.store.close()


async def test_a_process_that_died_while_it_revoked_makes_up_for_it() -> None:
    disk = SimulatedDisk()
    first = await _desk(disk)
    await first.start("exe_1", plan(leaf("a", "h1")))
    await first.executor.close()
    await first.store.close()
    # No host is in the inventory of this desk: to the second process, h1 is revoked.
    second = await _desk(disk)
    running = asyncio.create_task(second.executor.run())
    await _until(second.executor, "needs_attention")
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    await second.executor.close()
    await second.store.close()


async def _until(executor: Executor, status: str) -> None:
    for _ in range(10_000):
        if (await executor.state("exe_1")).status == status:
            return
        await asyncio.sleep(0)
    raise AssertionError(f"never {status}")
