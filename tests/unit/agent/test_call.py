"""What becomes of a call of a step type, in the words of the agent."""

import asyncio
from pathlib import Path
from typing import Any

from pilotage_agent.messages import Outcome
from pilotage_agent.runner.call import StepTypes, call_step
from pilotage_agent.runner.job import Job, Purpose
from pilotage_plugin_api import Effect, StepContext, StepFailed, StepOutputs, StepParams, StepType
from pilotage_plugin_api.catalogue import Catalogue
from pilotage_plugin_api.testing import Harness


class MeasureOutputs(StepOutputs):
    good: bool
    seconds: float


class Measure(StepType[StepParams, MeasureOutputs]):
    """Measure, and find it bad."""

    name = "test.measure"
    effect = Effect.READ
    Params = StepParams
    Outputs = MeasureOutputs

    async def run(self, ctx: StepContext, params: StepParams) -> MeasureOutputs:
        raise StepFailed("too slow", outputs=MeasureOutputs(good=False, seconds=9.5))


class OneType(StepTypes):
    def get(self, name: str) -> StepType[Any, Any]:
        return Measure()


def test_a_failure_keeps_what_the_step_found_out(harness: Harness, tmp_path: Path) -> None:
    job = Job(purpose=Purpose.RUN, key="exe_1/a/h//run/1", host="h", folder="", step_type="test.measure", effect="read")
    cancel = asyncio.Event()
    called = asyncio.run(
        call_step(job, tmp_path, harness.recorder, harness.secrets, cancel, None, OneType(Catalogue(step_types={})))
    )
    assert (called.outcome, called.error) == (Outcome.FAILED, "too slow")
    assert called.outputs == {"good": False, "seconds": 9.5}
    result = called.result(job, called.outputs, called.error, 7)
    assert result.outputs == b'{"good":false,"seconds":9.5}'
