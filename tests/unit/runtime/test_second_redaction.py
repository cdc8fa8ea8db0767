"""What an agent should have redacted does not get past the coordinator, and log offsets stay the agent's."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from pilotage_coordinator.domain.execution.inputs import Begin
from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_coordinator.domain.fleet import AttemptReport, LogPiece, Outcome
from pilotage_coordinator.domain.plan import Json
from pilotage_coordinator.engine.due import attempt_key, due
from pilotage_coordinator.runtime.second_redaction import Parameters, SecondRedaction
from pilotage_coordinator.runtime.secrets import SecretRefused
from pilotage_proto.attempt import AttemptKey

from tests.unit.engine.build import Run, leaf, plan

VALUE = b"correct horse battery"
EARLIER = b"before it was set anew"


class Vault:
    async def values(self, name: str) -> tuple[bytes, ...]:
        if name != "db/password":
            raise SecretRefused(name)
        return VALUE, EARLIER


def _started(**parameters: Any) -> tuple[SecondRedaction, Run]:
    run = Run(plan(leaf("a", "h1", parameters=parameters)), begin=False)
    run.give(Begin("seed", "anna"))
    return SecondRedaction(Vault()), run  # type: ignore[arg-type]


def _given(run: Run) -> Parameters:
    async def parameters(key: AttemptKey) -> Mapping[str, Json]:
        return run.state.open[RunKey(key.path, key.host, key.item)].parameters

    return parameters


async def test_a_report_comes_in_without_the_value() -> None:
    redaction, run = _started(password="secret://db/password")
    key = attempt_key(run.state, due(run.state).assign[0])
    said = VALUE.decode()
    report = AttemptReport(
        key, 1, Outcome.FAILED, outputs={"a": [said]}, error=f"bad {said}", evidence={"lines": [said]}
    )
    kept = await redaction.report(report, _given(run))
    assert said not in json.dumps([kept.outputs, kept.error, kept.evidence])
    assert kept.digest == report.digest


async def test_a_value_that_was_replaced_while_the_step_ran_is_found_too() -> None:
    redaction, run = _started(password="secret://db/password")
    key = attempt_key(run.state, due(run.state).assign[0])
    report = AttemptReport(key, 1, Outcome.FAILED, error=f"it was {EARLIER.decode()}")
    assert EARLIER.decode() not in (await redaction.report(report, _given(run))).error


async def test_a_log_piece_keeps_its_length_and_its_lines() -> None:
    redaction, run = _started(password="secret://db/password")
    key = attempt_key(run.state, due(run.state).assign[0])
    data = b'{"t":1,"s":"stdout","m":"before"}\n{"t":2,"s":"stdout","m":"it is ' + VALUE + b'"}\n'
    kept = await redaction.log(LogPiece(key, 0, data), _given(run))
    assert VALUE not in kept.data
    assert len(kept.data) == len(data)
    assert [json.loads(line)["m"] for line in kept.data.splitlines()] == ["before", "it is ***"]


@pytest.mark.parametrize("parameters", [{}, {"password": "secret://gone"}])
async def test_words_of_attempts_without_known_secrets_pass_untouched(parameters: dict[str, str]) -> None:
    redaction, run = _started(**parameters)
    key = attempt_key(run.state, due(run.state).assign[0])
    piece = LogPiece(key, 0, b'{"t":1,"s":"stdout","m":"' + VALUE + b'"}\n')
    assert await redaction.log(piece, _given(run)) is piece


async def test_a_value_of_digits_does_not_tear_the_records_of_a_log() -> None:
    run = Run(plan(leaf("a", "h1", parameters={"password": "secret://pin"})), begin=False)
    run.give(Begin("seed", "anna"))

    class Digits:
        async def values(self, name: str) -> tuple[bytes, ...]:
            return (b"1764",)

    key = attempt_key(run.state, due(run.state).assign[0])
    data = b'{"t": 1764000000000000, "s": "stdout", "m": "pin 1764"}\n'
    data += b'{"t": 1764000000000001, "s": "step", "m": "\xc3\xb6"}\n'
    kept = await SecondRedaction(Digits()).log(LogPiece(key, 0, data), _given(run))  # type: ignore[arg-type]
    assert len(kept.data) == len(data)
    records = [json.loads(line) for line in kept.data.splitlines()]
    assert records[0] == {"t": 1764000000000000, "s": "stdout", "m": "pin ***"}
