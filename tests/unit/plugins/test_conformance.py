"""The conformance suite finds each kind of bad plugin, and leaves a good one alone."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pilotage_plugin_api import (
    Effect,
    Preview,
    ProbeAnswer,
    Refused,
    SecretRef,
    StepContext,
    StepFailed,
    StepOutputs,
    StepParams,
    StepType,
)
from pilotage_plugin_api.testing import Conformance, Harness, Sample
from pilotage_plugin_api.testing import conformance as kit
from pilotage_plugin_api.testing.conformance import World
from pilotage_plugin_api.testing.schema import broken_promises, schemas_of
from pilotage_plugin_api.testing.tree import tree_of

SECRET = b"canary-5518"


class GoodParams(StepParams):
    path: Path
    password: SecretRef | None = None


class GoodOutputs(StepOutputs):
    text: str = ""


class Good(StepType[GoodParams, GoodOutputs]):
    """Write a file that says who wrote it, and take it away again."""

    name = "test.good"
    Params = GoodParams
    Outputs = GoodOutputs

    async def run(self, ctx: StepContext, params: GoodParams) -> GoodOutputs:
        params.path.write_text("written\n")
        return GoodOutputs()

    async def undo(self, ctx: StepContext, params: GoodParams, outputs: GoodOutputs) -> None:
        params.path.unlink(missing_ok=True)


class Loose(StepParams):
    path: Path
    password: str = ""


class Repeats(Good):
    """Say that it is idempotent, and append a line each time."""

    effect = Effect.IDEMPOTENT

    async def run(self, ctx: StepContext, params: GoodParams) -> GoodOutputs:
        with params.path.open("a") as file:
            file.write("again\n")
        return GoodOutputs()


class ChangesOnRead(Good):
    """Say that it only reads, and write nevertheless."""

    effect = Effect.READ


class ActsOnPreview(Good):
    """Do the work when it was only asked what it would do."""

    async def preview(self, ctx: StepContext, params: GoodParams) -> Preview:
        params.path.touch()
        return Preview()


class ForgetsOnUndo(Good):
    """Leave what it made when it is asked to undo it."""

    async def undo(self, ctx: StepContext, params: GoodParams, outputs: GoodOutputs) -> None:
        pass


class Tells(Good):
    """Print the secret that it was given into its log."""

    async def run(self, ctx: StepContext, params: GoodParams) -> GoodOutputs:
        assert params.password is not None
        ctx.log(self.shown(await ctx.secret(params.password)))
        return GoodOutputs()

    def shown(self, secret: bytes) -> str:
        return f"logging in with {secret.decode()}"


class TellsInHex(Tells):
    """Print the secret that it was given, in hexadecimal."""

    def shown(self, secret: bytes) -> str:
        return secret.hex()


class Floods(Good):
    """Return more than outputs may hold."""

    async def run(self, ctx: StepContext, params: GoodParams) -> GoodOutputs:
        return GoodOutputs(text="x" * 70_000)


class LeavesProcesses(Good):
    """Start a program behind everybody's back and return."""

    async def run(self, ctx: StepContext, params: GoodParams) -> GoodOutputs:
        os.posix_spawnp("sleep", ["sleep", "5"], {**ctx.environment})  # noqa: ASYNC221 - it is a bad plugin
        return GoodOutputs()


class IgnoresStop(Good):
    """Go on when it is told to stop."""

    async def run(self, ctx: StepContext, params: GoodParams) -> GoodOutputs:
        for _ in range(30):
            try:
                await asyncio.sleep(0.05)
            except asyncio.CancelledError:
                continue
        return GoodOutputs()


class LyingProbe(Good):
    """Claim that every attempt did its work."""

    effect = Effect.PROBE

    async def probe(self, ctx: StepContext, params: GoodParams, key: str) -> ProbeAnswer[GoodOutputs]:
        return ProbeAnswer.done(GoodOutputs())


class BusyProbe(LyingProbe):
    """Change something while probing."""

    async def probe(self, ctx: StepContext, params: GoodParams, key: str) -> ProbeAnswer[GoodOutputs]:
        params.path.write_text(key)
        return ProbeAnswer.unknown("nobody knows")


class CarefulParams(GoodParams):
    slow: bool = False


class Careful(Good):
    """Write a file through a draft, which does not stay when the attempt is cut off."""

    name = "test.careful"
    Params = CarefulParams

    async def run(self, ctx: StepContext, params: GoodParams) -> GoodOutputs:
        draft = params.path.with_suffix(".draft")
        draft.write_text("written\n")
        if isinstance(params, CarefulParams) and params.slow:
            await asyncio.sleep(60)
        draft.rename(params.path)
        return GoodOutputs()

    async def recover(self, ctx: StepContext, params: GoodParams, key: str) -> str:
        params.path.with_suffix(".draft").unlink(missing_ok=True)
        return ""


class RecoversTooMuch(Careful):
    """Takes away, on recovery, what was finished."""

    async def recover(self, ctx: StepContext, params: GoodParams, key: str) -> str:
        params.path.unlink(missing_ok=True)
        return await super().recover(ctx, params, key)


class LeavesDrafts(Careful):
    """Brings a recovery that does nothing."""

    async def recover(self, ctx: StepContext, params: GoodParams, key: str) -> str:
        return "all is well"


class TakesPlainSecrets(StepType[Loose, GoodOutputs]):
    """Take a password as it is instead of by its name."""

    name = "test.plain"
    Params = Loose
    Outputs = GoodOutputs

    async def run(self, ctx: StepContext, params: Loose) -> GoodOutputs:
        return GoodOutputs()


class NamesNothing(Good):
    """Refuse what is wrong without a word about which parameter it was."""

    class Params(StepParams):
        path: Path
        password: SecretRef | None = None

        @classmethod
        def model_validate(cls, obj: Any, **more: Any) -> Any:
            try:
                return super().model_validate(obj, **more)
            except ValueError:
                raise Refused("something is wrong") from None


class Undocumented(Good):
    """Short."""


class Wavers(Good):
    """Describe itself differently each time that it is asked."""

    class Params(StepParams):
        path: Path
        _asked = 0

        @classmethod
        def model_json_schema(cls, *args: Any, **more: Any) -> dict[str, Any]:
            Wavers.asked += 1
            return {**super().model_json_schema(*args, **more), "description": str(Wavers.asked)}

    asked = 0


class AvailableByDoing(Good):
    """Find out whether it is available by doing it."""

    async def available(self, ctx: StepContext) -> Any:
        (ctx.scratch.parents[1] / "sandbox" / "tried").touch()
        return await super().available(ctx)


class Suite(Conformance):
    """The suite without pytest around it."""

    def sample(self, sandbox: Path) -> Sample:
        return sample(self.step_type, sandbox)


def sample(step_type: StepType[Any, Any], sandbox: Path) -> Sample:
    params: dict[str, Any] = {"path": str(sandbox / "file")}
    if "password" in step_type.Params.model_fields:
        params["password"] = "secret://db"
    slow = "slow" in step_type.Params.model_fields
    return Sample(params, secrets={"db": SECRET}, long={**params, "slow": True} if slow else None, tidy=slow)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kit, "STOP_WITHIN_SECONDS", 1.0)


BAD = [
    (Undocumented, "test_it_is_documented"),
    (Wavers, "test_its_schemas_are_stable"),
    (NamesNothing, "test_wrong_parameters_are_refused_by_name_and_not_repeated"),
    (TakesPlainSecrets, "test_wrong_parameters_are_refused_by_name_and_not_repeated"),
    (ChangesOnRead, "test_a_run_keeps_every_rule"),
    (Tells, "test_a_run_keeps_every_rule"),
    (TellsInHex, "test_a_run_keeps_every_rule"),
    (Floods, "test_a_run_keeps_every_rule"),
    (LeavesProcesses, "test_a_run_keeps_every_rule"),
    (ActsOnPreview, "test_preview_changes_nothing"),
    (Repeats, "test_effect_idempotent_twice_is_once"),
    (LyingProbe, "test_probe_finds_what_was_done_and_nothing_else"),
    (BusyProbe, "test_probe_finds_what_was_done_and_nothing_else"),
    (ForgetsOnUndo, "test_undo_restores"),
    (IgnoresStop, "test_cancellation_is_honoured"),
    (IgnoresStop, "test_deadline_is_honoured"),
    (AvailableByDoing, "test_availability_is_an_answer"),
    (RecoversTooMuch, "test_recovery_leaves_finished_work_alone"),
    (LeavesDrafts, "test_recovery_puts_a_killed_attempt_in_order"),
]


def call(step_type: StepType[Any, Any], check: str, harness: Harness, request: pytest.FixtureRequest) -> None:
    suite = Suite()
    suite.step_type = step_type
    harness.secrets.contents["db"] = SECRET
    arguments: dict[str, Any] = {
        "world": World(step_type, harness, sample(step_type, harness.sandbox), tree_of(harness.sandbox)),
        "request": request,
        "after": 0.3 if "killed" in check else 0.02,
    }
    method = getattr(suite, check)
    wanted = method.__code__.co_varnames[1 : method.__code__.co_argcount]
    method(**{name: arguments[name] for name in wanted})


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(("bad", "check"), BAD, ids=lambda value: getattr(value, "__name__", value))
def test_each_bad_plugin_is_found(
    bad: type[StepType[Any, Any]], check: str, harness: Harness, request: pytest.FixtureRequest
) -> None:
    before = Harness.living_children()
    try:
        with pytest.raises((AssertionError, StepFailed, pytest.fail.Exception)):
            call(bad(), check, harness, request)
    finally:
        for pid in harness.left_behind(before, 0.0):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


@pytest.mark.parametrize("check", sorted({check for _, check in BAD}))
def test_a_good_plugin_passes(check: str, harness: Harness, request: pytest.FixtureRequest) -> None:
    good = Careful() if "recovery" in check else Good()
    with contextlib.suppress(pytest.skip.Exception):
        call(good, check, harness, request)


def test_every_check_has_a_bad_plugin() -> None:
    checks = {name for name in vars(Conformance) if name.startswith("test_")}
    elsewhere = {
        "test_it_can_be_registered",  # tests/unit/plugins/test_catalogue.py
        "test_its_schemas_are_json_schema",  # likewise
        "test_sample_fits_its_schema",  # about the sample
        "test_unknown_parameters_are_refused_by_name",  # registration demands it
        "test_probe_answers_after_an_interruption",  # invocation checks the answer's type
    }
    assert checks - elsewhere == {check for _, check in BAD}


def test_checks_that_do_not_apply_are_not_there_and_come_back() -> None:
    class Once(Conformance):
        step_type: Any = Good()

    class Probed(Once):
        step_type: Any = LyingProbe()

    class Idempotent(Probed):
        step_type: Any = Repeats()

    def has(suite: Any) -> tuple[bool, bool, bool]:
        names = (
            "test_effect_idempotent_twice_is_once",
            "test_probe_answers_after_an_interruption",
            "test_undo_restores",
        )
        first, second, third = (getattr(suite, name) is not None for name in names)
        return first, second, third

    assert has(Once) == (False, False, True)
    assert has(Probed) == (False, True, True)
    assert has(Idempotent) == (True, False, True)


def test_schemas_that_were_recorded_are_kept() -> None:
    before = schemas_of(Good())
    now = json.loads(json.dumps(before))
    assert broken_promises(before, now) == []
    now["params"]["properties"]["more"] = {"type": "string"}
    assert broken_promises(before, now) == []
    now["params"]["required"] = ["path", "more"]
    now["params"]["properties"]["path"]["type"] = "integer"
    del now["params"]["properties"]["password"]
    del now["outputs"]["properties"]["text"]
    assert broken_promises(before, now) == [
        "parameter password is gone",
        "parameter path is no longer string",
        "parameter more is required now",
        "output text is gone",
    ]


STRANGER = """
from pathlib import Path
from tests.unit.plugins.test_conformance import {suite}
from pilotage_plugin_api.testing import Conformance, Sample

class TestStranger(Conformance):
    step_type = {suite}()

    def sample(self, sandbox: Path) -> Sample:
        return Sample({{"path": str(sandbox / "file")}})

def test_of_another_kind() -> None:
    raise AssertionError("this is no conformance test")
"""


@pytest.mark.parametrize(("suite", "code", "word"), [("Good", 0, "conforms"), ("ForgetsOnUndo", 1, "does NOT conform")])
def test_the_option_runs_the_suites_alone_and_tells(tmp_path: Path, suite: str, code: int, word: str) -> None:
    (tmp_path / "test_stranger.py").write_text(STRANGER.format(suite=suite))
    (tmp_path / "pytest.ini").write_text(f"[pytest]\npythonpath = {Path(__file__).parents[3]}\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--pilotage-conformance", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert f"test.good {word}" in done.stdout
    assert "1 deselected" in done.stdout
