"""Runs a step type in this process as an agent's worker would, with everything recorded."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import time
import uuid
import warnings
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pilotage_plugin_api.catalogue import Catalogue
from pilotage_plugin_api.context import PLAIN_ENVIRONMENT, StepContext, Stream, refuse_to_invoke
from pilotage_plugin_api.errors import Refused
from pilotage_plugin_api.invocation import (
    check_available,
    invoker_from,
    preview_step,
    probe_step,
    recover_step,
    run_step,
    undo_step,
)
from pilotage_plugin_api.preview import Preview
from pilotage_plugin_api.step_type import Availability, StepType
from pilotage_plugin_api.testing.processes import gone_within, living_children, processes_marked

T = TypeVar("T")
AnyStepType = StepType[Any, Any]


@dataclass(slots=True)
class Recorder:
    """A Reporter that keeps everything."""

    lines: list[tuple[Stream, str]] = field(default_factory=list)
    reports: list[tuple[float | None, str]] = field(default_factory=list)

    def log(self, stream: Stream, text: str) -> None:
        """Keep one line."""
        self.lines.append((stream, text))

    def progress(self, fraction: float | None, text: str) -> None:
        """Keep one report."""
        self.reports.append((fraction, text))

    @property
    def text(self) -> str:
        """All log lines and progress texts."""
        return "\n".join([*(text for _, text in self.lines), *(text for _, text in self.reports)])


@dataclass(slots=True)
class FakeSecrets:
    """Secrets by name; any other is refused, as an agent refuses what was not granted."""

    contents: dict[str, bytes] = field(default_factory=dict)

    async def resolve(self, name: str) -> bytes:
        """Return the content."""
        if name not in self.contents:
            raise Refused(f"this attempt was not granted the secret {name}")
        return self.contents[name]


@dataclass(slots=True)
class Harness:
    """A small host of its own: a sandbox folder that is the world, secrets, facts, and other step types to invoke.

    Every call starts an event loop and returns when the step type has ended, so tests need no asyncio plugin. Each
    call of `run` is a new attempt unless a `key` is given.
    """

    sandbox: Path
    scratch_root: Path
    host: str = "host1"
    facts: dict[str, Any] = field(default_factory=dict)
    secrets: FakeSecrets = field(default_factory=FakeSecrets)
    catalogue: Catalogue | None = None
    recorder: Recorder = field(default_factory=Recorder)
    marker: str = field(default_factory=lambda: f"PILOTAGE_HARNESS={uuid.uuid4().hex}")
    attempts: int = 0

    @classmethod
    def in_folder(cls, folder: Path) -> "Harness":
        """Make one whose folders lie in this folder."""
        sandbox, scratch = folder / "sandbox", folder / "scratch"
        sandbox.mkdir(exist_ok=True)
        scratch.mkdir(mode=0o700, exist_ok=True)
        return cls(sandbox=sandbox, scratch_root=scratch)

    def run(
        self,
        step_type: AnyStepType,
        params: Mapping[str, Any],
        *,
        key: str | None = None,
        timeout: float | None = None,
        cancel_after: float | None = None,
    ) -> dict[str, Any]:
        """Run one attempt and return its outputs as JSON values; raises what `run_step` raises.

        `timeout` is the attempt's, in seconds. `cancel_after` cancels it that many seconds after its start.
        """
        with self._attempt(key) as (name, scratch):
            return self._call(lambda ctx: run_step(step_type, ctx, params), name, scratch, timeout, cancel_after)

    def preview(self, step_type: AnyStepType, params: Mapping[str, Any]) -> Preview:
        """Ask for the preview."""
        with self._attempt(None) as (name, scratch):
            return self._call(lambda ctx: preview_step(step_type, ctx, params), name, scratch)

    def undo(self, step_type: AnyStepType, params: Mapping[str, Any], outputs: Mapping[str, Any]) -> None:
        """Compensate a run."""
        with self._attempt(None) as (name, scratch):
            self._call(lambda ctx: undo_step(step_type, ctx, params, outputs), name, scratch)

    def probe(self, step_type: AnyStepType, params: Mapping[str, Any], key: str) -> dict[str, Any]:
        """Ask what became of the attempt."""
        with self._attempt(None) as (name, scratch):
            return self._call(lambda ctx: probe_step(step_type, ctx, params, key), name, scratch)

    def recover(self, step_type: AnyStepType, params: Mapping[str, Any], key: str) -> str:
        """Put in order what the attempt left half done."""
        with self._attempt(None) as (name, scratch):
            return self._call(lambda ctx: recover_step(step_type, ctx, params, key), name, scratch)

    def kill_in_the_middle(
        self, step_type: AnyStepType, params: Mapping[str, Any], key: str, after: float, seconds: float = 30.0
    ) -> bool:
        """Run an attempt in a process of its own and end that, with all it started, by SIGKILL `after` seconds; says
        whether it came to that: the attempt may be quicker."""
        with warnings.catch_warnings():
            # The child runs one attempt and is killed; a lock that another thread of the tests held stops nobody else.
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            try:
                self.run(step_type, params, key=key, timeout=seconds)
            finally:
                os._exit(0)
        self.attempts += 1
        time.sleep(after)
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        for pid in processes_marked(self.marker):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        gone_within(self.marker, set(), 2.0)
        shutil.rmtree(self.scratch_root / str(self.attempts), ignore_errors=True)
        return os.WIFSIGNALED(status)

    def available(self, step_type: AnyStepType) -> Availability:
        """Ask whether the step type can run here."""
        with self._attempt(None) as (name, scratch):
            return self._call(lambda ctx: check_available(step_type, ctx), name, scratch)

    def left_behind(self, before: set[int], seconds: float = 2.0) -> set[int]:
        """Return the processes that live on after a call; `before` is `living_children()` from before it."""
        return gone_within(self.marker, before, seconds)

    @staticmethod
    def living_children() -> set[int]:
        """Return this process's living descendants."""
        return living_children()

    def seen(self, outcome: object = None) -> str:
        """Return everything that a step type has shown: logs, progress, and this outcome as JSON or text."""
        shown = json.dumps(outcome, default=str, ensure_ascii=False)
        return f"{self.recorder.text}\n{shown}\n{outcome}"

    def context(
        self, key: str, scratch: Path, timeout: float | None = None, cancel: asyncio.Event | None = None
    ) -> StepContext:
        """Make the context of one attempt, for tests that call a step type themselves."""
        variable, _, value = self.marker.partition("=")
        return StepContext(
            attempt_key=key,
            host=self.host,
            scratch=scratch,
            reporter=self.recorder,
            secrets=self.secrets,
            cancel=cancel or asyncio.Event(),
            deadline=None if timeout is None else time.monotonic() + timeout,
            facts=self.facts,
            environment={**PLAIN_ENVIRONMENT, variable: value},
            invoker=invoker_from(self.catalogue.get) if self.catalogue else refuse_to_invoke,
        )

    def _call(
        self,
        call: Callable[[StepContext], Coroutine[Any, Any, T]],
        key: str,
        scratch: Path,
        timeout: float | None = None,
        cancel_after: float | None = None,
    ) -> T:
        async def scenario() -> T:
            cancel = asyncio.Event()
            if cancel_after is not None:
                asyncio.get_running_loop().call_later(cancel_after, cancel.set)
            return await call(self.context(key, scratch, timeout, cancel))

        return asyncio.run(scenario())

    @contextmanager
    def _attempt(self, key: str | None) -> Iterator[tuple[str, Path]]:
        self.attempts += 1
        scratch = self.scratch_root / str(self.attempts)
        scratch.mkdir(mode=0o700)
        try:
            yield key or f"exe_test/step/{self.host}//run/{self.attempts}", scratch
        finally:
            shutil.rmtree(scratch)
