"""The rules that every step type keeps, built-in or not, as tests."""

import base64
import contextlib
import json
import re
import shutil
import time
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final, TypeVar
from urllib.parse import quote

import pytest
from pydantic import BaseModel

from pilotage_plugin_api.effect import Effect
from pilotage_plugin_api.errors import DeadlineExceeded, PluginApiError, Refused, StepCancelled, StepFailed
from pilotage_plugin_api.invocation import OUTPUTS_LIMIT, validate_params
from pilotage_plugin_api.preview import Preview
from pilotage_plugin_api.registration import check_step_type, docs_of, overrides
from pilotage_plugin_api.step_type import Availability, StepType
from pilotage_plugin_api.testing.harness import Harness
from pilotage_plugin_api.testing.schema import broken_promises, schemas_of
from pilotage_plugin_api.testing.tree import tree_of
from pilotage_plugin_api.testing.watching import Watch

T = TypeVar("T")

STOP_WITHIN_SECONDS: Final = 8.0
"""How soon a step type must have ended after cancellation or its deadline, clean-up included."""

_CANARY: Final = "canary7f3a"
_JSON_TYPES: Final = {"object", "array", "string", "number", "integer", "boolean", "null"}


@dataclass(frozen=True, slots=True)
class Sample:
    """Parameters that work, and what the suite must know about them.

    `secrets`: by name; their contents must never be seen: not in logs, progress, previews, outputs, errors, and not in
    the arguments or environments of processes. `in_environment`: names of those that a program takes by its environment
    and in no better way, so that they may be there. `failing`: parameters under which a run fails when it has read its
    secrets; without them, it runs in a sandbox that is gone. `long`: parameters under which the step takes at least
    half a minute, for cancellation, deadline and recovery; without them those tests use `params` and accept a step
    that is quicker. `tidy`: under `long` the step finishes nothing, so that a recovery must bring the sandbox back to
    what it was. `ignored_outputs`: names of outputs that may differ between two runs of an idempotent type, such as
    durations.
    """

    params: Mapping[str, Any]
    secrets: Mapping[str, bytes] = field(default_factory=dict)
    long: Mapping[str, Any] | None = None
    ignored_outputs: frozenset[str] = frozenset()
    facts: Mapping[str, Any] = field(default_factory=dict)
    tidy: bool = False
    failing: Mapping[str, Any] | None = None
    in_environment: frozenset[str] = frozenset()


class Conformance:
    """Derive a test class from this, give it `step_type` and `sample`; pytest does the rest.

    `sample` may prepare the sandbox; it is called once for each test, with an empty sandbox. `prepare` may change
    the harness, to give it a catalogue, say.

    `schemas` is a file in your repository that keeps the schemas which you have published; with it, a change that
    breaks blueprints is found. `pytest --pilotage-record-schemas` writes it.
    """

    step_type: StepType[Any, Any]
    schemas: ClassVar[Path | None] = None

    def __init_subclass__(cls, **more: Any) -> None:
        """Leave out the checks that do not apply to the step type, so that a skipped test is always news."""
        super().__init_subclass__(**more)
        step_type = cls.__dict__.get("step_type")
        if step_type is None:
            return
        applies = {
            "test_effect_idempotent_twice_is_once": step_type.effect is Effect.IDEMPOTENT,
            "test_probe_finds_what_was_done_and_nothing_else": step_type.effect is Effect.PROBE,
            "test_probe_answers_after_an_interruption": step_type.effect is Effect.PROBE,
            "test_undo_restores": overrides(step_type, "undo"),
            "test_recovery_leaves_finished_work_alone": overrides(step_type, "recover")
            and step_type.effect is not Effect.IDEMPOTENT,
            "test_recovery_puts_a_killed_attempt_in_order": overrides(step_type, "recover"),
        }
        for name, needed in applies.items():
            if not needed:
                setattr(cls, name, None)
            elif getattr(cls, name) is None:
                setattr(cls, name, getattr(Conformance, name))

    @abstractmethod
    def sample(self, sandbox: Path) -> Sample:
        """Return parameters that work, preparing what they need in the sandbox."""
        raise NotImplementedError

    def prepare(self, harness: Harness) -> None:
        """Change the harness before a test; nothing by default."""

    @pytest.fixture
    def world(self, harness: Harness) -> "World":
        """A prepared sandbox with the sample."""
        self.prepare(harness)
        sample = self.sample(harness.sandbox)
        harness.secrets.contents.update(sample.secrets)
        harness.facts.update(sample.facts)
        return World(self.step_type, harness, sample, tree_of(harness.sandbox))

    def test_it_can_be_registered(self) -> None:
        """Name, docs, effect, models and methods fit together."""
        check_step_type(self.step_type)

    def test_it_is_documented(self) -> None:
        """The class says what it does, and each parameter has a type that people can read."""
        assert len(docs_of(self.step_type).split("\n\n")[0]) >= 20, "the first paragraph says too little"

    def test_its_schemas_are_json_schema(self) -> None:
        """What goes to the coordinator is JSON, and made of JSON Schema's own types."""
        for model, mode in ((self.step_type.Params, "validation"), (self.step_type.Outputs, "serialization")):
            schema = json.loads(json.dumps(model.model_json_schema(mode=mode), allow_nan=False))
            assert schema["type"] == "object"
            _check_types(schema)

    def test_its_schemas_are_stable(self, request: pytest.FixtureRequest) -> None:
        """Asked twice they are the same, and nothing that blueprints rely on has gone since they were recorded."""
        now = schemas_of(self.step_type)
        assert json.dumps(now) == json.dumps(schemas_of(self.step_type)), "they change from one look to the next"
        if self.schemas is None:
            return
        if request.config.getoption("pilotage_record_schemas"):
            self.schemas.write_text(json.dumps(now, indent=2, sort_keys=True) + "\n")
        assert self.schemas.exists(), f"record {self.schemas.name} first: pytest --pilotage-record-schemas"
        broken = broken_promises(json.loads(self.schemas.read_text()), now)
        assert not broken, f"blueprints that people wrote would break: {'; '.join(broken)}"

    def test_wrong_parameters_are_refused_by_name_and_not_repeated(self, world: "World") -> None:
        """A parameter that is missing or wrong is named, a secret that was written out is not repeated, and nothing
        happens."""
        before = tree_of(world.harness.sandbox)
        for name in self.step_type.Params.model_json_schema().get("required", ()):
            params = {key: value for key, value in world.sample.params.items() if key != name}
            with pytest.raises(Refused, match=re.escape(name)):
                world.run(params=params)
        for name, value in world.sample.params.items():
            is_secret = str(value).startswith("secret://")
            problem = self._problem_with({**world.sample.params, name: _CANARY if is_secret else {"a": [{"b": {}}]}})
            assert not is_secret or problem, f"{name} takes a secret's value instead of its name"
            if problem is not None:
                assert name in problem, f"{name} is wrong, and the error does not say so: {problem}"
                assert _CANARY not in problem, f"the error repeats what {name} held"
        assert tree_of(world.harness.sandbox) == before

    def _problem_with(self, params: Mapping[str, Any]) -> str | None:
        try:
            validate_params(self.step_type, params)
        except Refused as refused:
            return str(refused)
        return None

    def test_sample_fits_its_schema(self, world: "World") -> None:
        """Every sample parameter stands in the schema, and every required one in the sample."""
        schema = self.step_type.Params.model_json_schema()
        assert set(world.sample.params) <= set(schema.get("properties", {}))
        assert set(schema.get("required", ())) <= set(world.sample.params)

    def test_unknown_parameters_are_refused_by_name(self, world: "World") -> None:
        """A parameter that does not exist is never ignored, and nothing happens."""
        before = tree_of(world.harness.sandbox)
        with pytest.raises(Refused, match="no_such_parameter"):
            world.run(params={**world.sample.params, "no_such_parameter": 1})
        assert tree_of(world.harness.sandbox) == before

    def test_a_run_keeps_every_rule(self, world: "World") -> None:
        """The sample works. Its outputs are JSON of at most 64 KiB and read back into the model; no process lives on;
        effect `read` changed nothing; without an undo, asking for one is refused by name. One run for all of these, as
        runs may be dear."""
        picture = tree_of(world.harness.sandbox, times=True)
        processes = world.harness.living_children()
        outputs = world.run()
        assert not world.harness.left_behind(processes), "it left processes behind"
        assert len(json.dumps(outputs, ensure_ascii=False).encode()) <= OUTPUTS_LIMIT
        self.step_type.Outputs.model_validate(outputs)
        if self.step_type.effect is Effect.READ:
            assert tree_of(world.harness.sandbox, times=True) == picture, "effect read, but it changed something"
        if not overrides(self.step_type, "undo"):
            with pytest.raises(Refused, match=re.escape(self.step_type.name)):
                world.undo(outputs)

    def test_failures_show_no_secret(self, world: "World") -> None:
        """What is said when a run fails, or an undo, for its sandbox is gone meanwhile, holds no secret either. Give
        `failing` parameters where a run is to fail otherwise."""
        if not world.sample.secrets:
            return
        with contextlib.suppress(PluginApiError):
            if world.sample.failing:
                world.run(params=world.sample.failing)
            else:
                with world.gone():
                    world.run()
        if overrides(self.step_type, "undo"):
            outputs = world.run()
            with world.gone(), contextlib.suppress(PluginApiError):
                world.undo(outputs)

    def test_preview_changes_nothing(self, world: "World") -> None:
        """A plan can be made as often as one likes."""
        before = tree_of(world.harness.sandbox, times=True)
        preview = world.preview()
        json.dumps(preview.model_dump(mode="json"), allow_nan=False)
        assert tree_of(world.harness.sandbox, times=True) == before

    def test_effect_idempotent_twice_is_once(self, world: "World") -> None:
        """A second run of the same attempt changes nothing more and returns the same."""
        if self.step_type.effect is not Effect.IDEMPOTENT:
            pytest.skip(f"effect {self.step_type.effect}")
        first = world.run(key="exe_test/twice/host1//run/1")
        after_first = tree_of(world.harness.sandbox)
        second = world.run(key="exe_test/twice/host1//run/1")
        assert tree_of(world.harness.sandbox) == after_first
        assert world.compared(second) == world.compared(first)

    def test_probe_finds_what_was_done_and_nothing_else(self, world: "World") -> None:
        """After a run the probe says done, with outputs, or that it cannot tell; for another attempt never done."""
        if self.step_type.effect is not Effect.PROBE:
            pytest.skip(f"effect {self.step_type.effect}")
        key = "exe_test/probed/host1//run/1"
        world.run(key=key)
        before = tree_of(world.harness.sandbox)
        answer = world.probe(key)
        assert answer["answer"] in ("done", "unknown")
        if answer["answer"] == "done":
            self.step_type.Outputs.model_validate(answer["outputs"])
        never = world.probe("exe_test/never/host1//run/1")
        assert never["answer"] != "done", "it takes one attempt for another"
        assert tree_of(world.harness.sandbox) == before, "the probe changed something"

    def test_probe_answers_after_an_interruption(self, world: "World") -> None:
        """Wherever a run was cut off, the probe answers, and after `not_done` a second start works."""
        if self.step_type.effect is not Effect.PROBE:
            pytest.skip(f"effect {self.step_type.effect}")
        key = "exe_test/cut/host1//run/1"
        with contextlib.suppress(StepCancelled):
            world.run(key=key, params=world.long, cancel_after=0.05)
        answer = world.probe(key)
        assert answer["answer"] in ("done", "not_done", "unknown")
        if answer["answer"] == "not_done":
            world.run(key=key)

    def test_undo_restores(self, world: "World") -> None:
        """Undo brings the sandbox back to what it was; doing it twice is doing it once."""
        if not overrides(self.step_type, "undo"):
            pytest.skip("no undo")
        before = tree_of(world.harness.sandbox)
        outputs = world.run()
        world.undo(outputs)
        assert tree_of(world.harness.sandbox) == before
        world.undo(outputs)
        assert tree_of(world.harness.sandbox) == before

    def test_recovery_leaves_finished_work_alone(self, world: "World") -> None:
        """An attempt that did all its work is not put back, however often it is asked for, nor that of another key.
        With effect idempotent it may be: such an attempt is made again, or was not wanted any more."""
        if not overrides(self.step_type, "recover") or self.step_type.effect is Effect.IDEMPOTENT:
            pytest.skip("nothing to leave alone")
        key = "exe_test/finished/host1//run/1"
        world.run(key=key)
        before, answer = tree_of(world.harness.sandbox), self._probed(world, key)
        for other in (key, key, "exe_test/never/host1//run/1"):
            world.recover(other)
        assert tree_of(world.harness.sandbox) == before, "it puts back what was finished"
        assert self._probed(world, key) == answer, "the probe answers otherwise after it"

    @pytest.mark.parametrize("after", [0.02, 0.3])
    def test_recovery_puts_a_killed_attempt_in_order(self, world: "World", after: float) -> None:
        """Whenever the attempt's process was killed: it succeeds, a second time too, and changes nothing then; and the
        step can be run again. A step that is cut off before it has put anything out of order
        leaves the sandbox as it was: what is temporary must not stay."""
        if not overrides(self.step_type, "recover"):
            pytest.skip("no recover")
        key = "exe_test/killed/host1//run/1"
        world.harness.kill_in_the_middle(self.step_type, world.long, key, after)
        world.recover(key, world.long)
        after_first = tree_of(world.harness.sandbox)
        world.recover(key, world.long)
        assert tree_of(world.harness.sandbox) == after_first, "a second recovery changes something more"
        self.in_order(world)
        world.run(key="exe_test/killed/host1//run/2")

    def in_order(self, world: "World") -> None:
        """Check what must hold after a recovery: that the sandbox is as it was before the attempt, if the sample says
        so by `tidy`. Look elsewhere in your own class when the step type's world is not the sandbox."""
        if world.sample.tidy:
            assert tree_of(world.harness.sandbox) == world.before, "what the attempt put out of order is not in order"

    def _probed(self, world: "World", key: str) -> Any:
        if not overrides(self.step_type, "probe"):
            return None
        return world.probe(key)["answer"]

    @pytest.mark.parametrize("after", [0.0, 0.02, 0.3])
    def test_cancellation_is_honoured(self, world: "World", after: float) -> None:
        """Cancelled early or late, it ends within the bound and leaves no process."""
        world.must_stop(StepCancelled, lambda: world.run(params=world.long, cancel_after=after))

    def test_deadline_is_honoured(self, world: "World") -> None:
        """At its deadline it ends within the bound and leaves no process."""
        world.must_stop((DeadlineExceeded, StepFailed), lambda: world.run(params=world.long, timeout=0.3))

    def test_availability_is_an_answer(self, world: "World") -> None:
        """It says whether it can run here, and why not, without changing anything."""
        before = tree_of(world.harness.sandbox, times=True)
        answer = world.available()
        assert answer.available or answer.reason
        assert tree_of(world.harness.sandbox, times=True) == before


@dataclass(frozen=True, slots=True)
class World:
    """A step type, its sample, and the prepared harness."""

    step_type: StepType[Any, Any]
    harness: Harness
    sample: Sample
    before: Mapping[str, Any] = field(default_factory=dict)

    @property
    def long(self) -> Mapping[str, Any]:
        """Parameters that take long, or else the sample's."""
        return self.sample.long or self.sample.params

    def run(
        self,
        *,
        key: str | None = None,
        params: Mapping[str, Any] | None = None,
        timeout: float | None = None,
        cancel_after: float | None = None,
    ) -> dict[str, Any]:
        """Run the step type with the sample's parameters or others."""
        chosen = self.sample.params if params is None else params
        return self._watched(
            lambda: self.harness.run(self.step_type, chosen, key=key, timeout=timeout, cancel_after=cancel_after)
        )

    def preview(self) -> Preview:
        """Ask for the sample's preview."""
        return self._watched(lambda: self.harness.preview(self.step_type, self.sample.params))

    def undo(self, outputs: Mapping[str, Any]) -> None:
        """Compensate a run of the sample."""
        self._watched(lambda: self.harness.undo(self.step_type, self.sample.params, outputs))

    def probe(self, key: str) -> dict[str, Any]:
        """Ask what became of an attempt at the sample."""
        return self._watched(lambda: self.harness.probe(self.step_type, self.sample.params, key))

    def recover(self, key: str, params: Mapping[str, Any] | None = None) -> str:
        """Put in order what an attempt left, at the sample or with other parameters."""
        chosen = self.sample.params if params is None else params
        return self._watched(lambda: self.harness.recover(self.step_type, chosen, key))

    def available(self) -> Availability:
        """Ask whether the step type can run here."""
        return self._watched(lambda: self.harness.available(self.step_type))

    @contextlib.contextmanager
    def gone(self) -> Iterator[None]:
        """Take the sandbox away, and bring it back as it was."""
        sandbox = self.harness.sandbox
        aside = sandbox.with_name(f"{sandbox.name}-aside")
        sandbox.rename(aside)
        try:
            yield
        finally:
            if sandbox.exists():
                shutil.rmtree(sandbox)
            aside.rename(sandbox)

    def _watched(self, call: Callable[[], T]) -> T:
        """Make a call, and check that it shows no secret to anybody, however it ends."""
        if not self.sample.secrets:
            return call()
        with Watch() as watch:
            try:
                outcome = call()
            except PluginApiError as error:
                self._check_secrets(watch, error)
                raise
        self._check_secrets(watch, outcome)
        return outcome

    def _check_secrets(self, watch: Watch, outcome: object) -> None:
        told = outcome.model_dump(mode="json") if isinstance(outcome, BaseModel) else outcome
        places = {
            "logs, progress, answers or errors": self.harness.seen(told) + _all_of(outcome),
            "the arguments of a process": _text(watch.arguments),
        }
        environments = _text(watch.environments)
        for name, content in self.sample.secrets.items():
            for form in _forms(content):
                for place, text in places.items():
                    assert form not in text, f"it shows the secret {name} in {place}"
                if name not in self.sample.in_environment:
                    assert form not in environments, f"it shows the secret {name} in the environment of a process"

    def compared(self, outputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the outputs that two runs must share."""
        return {name: value for name, value in outputs.items() if name not in self.sample.ignored_outputs}

    def must_stop(
        self, expected: type[PluginApiError] | tuple[type[PluginApiError], ...], call: Callable[[], object]
    ) -> None:
        """Check that the call raises what is expected within the bound, and leaves nothing behind."""
        before = self.harness.living_children()
        started = time.monotonic()
        try:
            call()
        except expected:
            pass
        else:
            assert self.sample.long is None, "the long parameters ended by themselves"
        assert time.monotonic() - started < STOP_WITHIN_SECONDS
        assert "ignores that it should stop" not in self.harness.recorder.text
        assert not self.harness.left_behind(before)


def _all_of(outcome: object) -> str:
    """Return what an error says, with what it was raised from and the outputs that it carries; empty for others."""
    if not isinstance(outcome, BaseException):
        return ""
    causes = _all_of(outcome.__cause__)
    return f"{outcome}\n{outcome!r}\n{getattr(outcome, 'outputs', None)!r}\n{causes}"


def _text(parts: Iterable[bytes]) -> str:
    return b"\n".join(parts).decode("utf-8", "backslashreplace")


def _forms(secret: bytes) -> tuple[str, ...]:
    plain = secret.decode("utf-8", "backslashreplace")
    return plain, base64.b64encode(secret).decode().rstrip("="), secret.hex(), quote(secret, safe="")


def _check_types(schema: object) -> None:
    """Walk a schema: every `type` is one of JSON's own."""
    if isinstance(schema, list):
        for item in schema:
            _check_types(item)
    elif isinstance(schema, dict):
        kind = schema.get("type")
        if isinstance(kind, str):
            assert kind in _JSON_TYPES
        for name, value in schema.items():
            if name not in ("default", "examples", "enum", "const"):
                _check_types(value)
