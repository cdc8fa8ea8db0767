"""The conformance suite finds each kind of bad plugin, and leaves a good one alone."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

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
from pilotage_plugin_api.errors import RegistrationRefused
from pilotage_plugin_api.testing import Conformance, Harness, Sample
from pilotage_plugin_api.testing import conformance as kit
from pilotage_plugin_api.testing.conformance import World
from pilotage_plugin_api.testing.schema import broken_promises, schemas_of
from pilotage_plugin_api.testing.tree import tree_of
from pydantic import Field, JsonValue

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


class TellsInPreview(Tells):
    """Look a secret up for the plan, and show it there."""

    async def preview(self, ctx: StepContext, params: GoodParams) -> Preview:
        assert params.password is not None
        return Preview(note=self.shown(await ctx.secret(params.password)))


class TellsInItsError(Tells):
    """Say in its error with which secret it failed."""

    async def run(self, ctx: StepContext, params: GoodParams) -> GoodOutputs:
        assert params.password is not None
        password = await ctx.secret(params.password)
        try:
            return await Good.run(self, ctx, params)
        except OSError as error:
            raise StepFailed(f"{self.shown(password)} failed") from error


class TellsInACause(Tells):
    """Fail with a good error that was raised from one that holds the secret."""

    async def run(self, ctx: StepContext, params: GoodParams) -> GoodOutputs:
        assert params.password is not None
        if not params.path.parent.exists():
            raise StepFailed("it did not work") from ValueError(self.shown(await ctx.secret(params.password)))
        return await Good.run(self, ctx, params)


class TellsOnUndo(Tells):
    """Say in the error of an undo with which secret it failed."""

    async def run(self, ctx: StepContext, params: GoodParams) -> GoodOutputs:
        return await Good.run(self, ctx, params)

    async def undo(self, ctx: StepContext, params: GoodParams, outputs: GoodOutputs) -> None:
        assert params.password is not None
        if not params.path.exists():
            raise StepFailed(f"{self.shown(await ctx.secret(params.password))}: nothing to undo")
        params.path.unlink()


class TellsInArguments(Tells):
    """Give a secret to a program as an argument."""

    async def run(self, ctx: StepContext, params: GoodParams) -> GoodOutputs:
        assert params.password is not None
        await ctx.program(["true", self.shown(await ctx.secret(params.password))])
        return GoodOutputs()


class TellsInEnvironment(Tells):
    """Give a secret to a program in its environment."""

    async def run(self, ctx: StepContext, params: GoodParams) -> GoodOutputs:
        assert params.password is not None
        password = (await ctx.secret(params.password)).decode()
        await ctx.program(["true"], env={**ctx.environment, "PASSWORD": password})
        return GoodOutputs()


class TellsThroughAnother(Tells):
    """Have a program give a secret to another one as an argument."""

    async def run(self, ctx: StepContext, params: GoodParams) -> GoodOutputs:
        assert params.password is not None
        script = 'sh -c "sleep 0.4; true" "$(cat)"; true'  # with more to do afterwards, a shell starts a child
        await ctx.program(["sh", "-c", script], stdin=await ctx.secret(params.password))
        return GoodOutputs()


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


class MisplacedName(Good):
    """Bear a name that is no plugin and verb."""

    name = "good"


class NoJson(Good):
    """Describe its parameters by words that JSON Schema does not have."""

    class Params(StepParams):
        path: Path
        password: SecretRef | None = None

        @classmethod
        def model_json_schema(cls, *args: Any, **more: Any) -> dict[str, Any]:
            schema = super().model_json_schema(*args, **more)
            return {**schema, "properties": {**schema["properties"], "path": {"type": "path"}}}


class Demanding(Good):
    """Ask for a parameter that its own sample does not give."""

    class Params(StepParams):
        path: Path
        token: str


class Tolerant(Good):
    """Ignore parameters that it does not know."""

    class Params(StepParams):
        path: Path
        password: SecretRef | None = None

        @classmethod
        def model_validate(cls, obj: Any, **more: Any) -> Any:
            return super().model_validate({name: obj[name] for name in cls.model_fields if name in obj}, **more)


class NeverAgain(Careful):
    """Say after an interruption that nothing was done, and then stumble over what was."""

    effect = Effect.PROBE

    async def run(self, ctx: StepContext, params: GoodParams) -> GoodOutputs:
        if params.path.with_suffix(".draft").exists():
            raise StepFailed("there is a draft already")
        return await super().run(ctx, params)

    async def probe(self, ctx: StepContext, params: GoodParams, key: str) -> ProbeAnswer[GoodOutputs]:
        return ProbeAnswer.not_done() if not params.path.exists() else ProbeAnswer.done(GoodOutputs())


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
    (MisplacedName, "test_it_can_be_registered"),
    (NoJson, "test_its_schemas_are_json_schema"),
    (Demanding, "test_sample_fits_its_schema"),
    (Tolerant, "test_unknown_parameters_are_refused_by_name"),
    (NeverAgain, "test_probe_answers_after_an_interruption"),
    (TellsInPreview, "test_preview_changes_nothing"),
    (TellsInItsError, "test_failures_show_no_secret"),
    (TellsInACause, "test_failures_show_no_secret"),
    (TellsOnUndo, "test_failures_show_no_secret"),
    (TellsInArguments, "test_a_run_keeps_every_rule"),
    (TellsInEnvironment, "test_a_run_keeps_every_rule"),
    (TellsThroughAnother, "test_a_run_keeps_every_rule"),
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
        with pytest.raises((AssertionError, StepFailed, RegistrationRefused, pytest.fail.Exception)):
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
    assert checks == {check for _, check in BAD}


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
        "parameter path is no longer string",
        "parameter password is gone",
        "parameter more is required now",
        "output text is gone",
    ]


class Port(StepParams):
    number: int = 80


class DeepBefore(StepParams):
    ports: tuple[Port, ...] = ()
    mode: Literal["fast", "slow"] = "fast"
    name: str | None = None
    size: int = Field(1, le=10)
    limits: dict[str, int] = Field(default_factory=dict)
    anything: JsonValue = None


class Outlet(StepParams):
    number: int = Field(80, ge=1)
    kind: str


class DeepAfter(StepParams):
    ports: tuple[Outlet, ...] = ()
    mode: Literal["fast"] = "fast"
    name: str = ""
    size: int = Field(1, le=5)
    limits: dict[str, str] = Field(default_factory=dict)
    anything: JsonValue = None


def deep(params: type[StepParams], outputs: type[StepOutputs] = GoodOutputs) -> dict[str, Any]:
    class Deep(Good):
        Params = params  # type: ignore[assignment]
        Outputs = outputs  # type: ignore[assignment]

    return schemas_of(Deep())


def test_promises_are_kept_at_every_depth() -> None:
    assert broken_promises(deep(DeepBefore), deep(DeepBefore)) == []
    assert broken_promises(deep(DeepBefore), deep(DeepAfter)) == [
        "parameter ports[].number: minimum is 1 now, was not bounded",
        "parameter ports[].kind is required now",
        "parameter mode no longer takes slow",
        "parameter name is no longer null",
        "parameter size: maximum is 5 now, was 10",
        "parameter limits.* is no longer integer",
    ]


def test_what_takes_more_breaks_nothing() -> None:
    class Wider(DeepBefore):
        mode: Literal["fast", "slow", "calm"] | int = "fast"  # type: ignore[assignment]
        size: int = Field(1, le=20)
        name: str | int | None = None  # type: ignore[assignment]
        more: str = ""

    assert broken_promises(deep(DeepBefore), deep(Wider)) == []


def test_an_output_that_may_be_missing_now_is_told() -> None:
    class Perhaps(StepOutputs):
        text: str | None = None

    assert broken_promises(deep(GoodParams), deep(GoodParams, Perhaps)) == ["output text may be null now"]


def test_a_class_that_recorded_other_schemas_does_not_conform(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    class Recorded(Suite):
        step_type: StepType[Any, Any] = Good()
        schemas = tmp_path / "good.json"

    before = schemas_of(Good())
    before["params"]["properties"]["colour"] = {"type": "string"}
    Recorded.schemas.write_text(json.dumps(before))
    with pytest.raises(AssertionError, match="would break: parameter colour is gone"):
        Recorded().test_its_schemas_are_stable(request)
    Recorded.schemas.write_text(json.dumps(schemas_of(Good())))
    Recorded().test_its_schemas_are_stable(request)


STRANGER = """
from pathlib import Path
from tests.unit.plugins.test_conformance import {suite}
from pilotage_plugin_api.errors import RegistrationRefused
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
