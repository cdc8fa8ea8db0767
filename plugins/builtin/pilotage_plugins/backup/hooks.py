"""Programs of the author's that run around a backup: they bring data to rest before it, and wake it afterwards."""

import asyncio
import shlex
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final, Literal, TypeVar

from pilotage_plugin_api import (
    DeadlineExceeded,
    Duration,
    PluginApiError,
    SecretRef,
    StepCancelled,
    StepContext,
    StepError,
    StepFailed,
    StepOutputs,
    StepParams,
)
from pydantic import Field, field_validator

from pilotage_plugins.note import owed

ErrorT = TypeVar("ErrorT", bound=PluginApiError)

_KILLED: Final = "was still running when the attempt had to end, and was killed; it is owed"

DEBT: Final = "hooks"

STOPPING_SECONDS: Final = 4.0
"""What all `after` hooks together get when the attempt is being cancelled or is past its deadline: with the five
seconds that a program has to end by itself, this stays below the ten after which the whole process is killed."""


class Hook(StepParams):
    """One program: an argument list, no shell. It is killed, with all it started, when `timeout` has passed."""

    argv: tuple[str, ...] = Field(min_length=1, max_length=100)
    timeout: Duration = Field(timedelta(minutes=5), description="After this it is killed and counts as failed")
    env: dict[str, str] = Field(default_factory=dict, description="Added to a plain environment")
    secret_files: dict[str, SecretRef] = Field(
        default_factory=dict, description="Variables that get the path of a file holding the secret, in memory only"
    )

    @field_validator("timeout")
    @classmethod
    def _bounded(cls, timeout: timedelta) -> timedelta:
        if not timedelta(0) < timeout <= timedelta(hours=24):
            raise ValueError("is not between nothing and 24h")
        return timeout


class Hooks(StepParams):
    """What runs around the reading of the data.

    A `before` that fails stops the backup. Every `after` runs, in order, whatever became of the backup and of the
    other hooks, also when the attempt is cancelled; it must be able to run when its `before` did not.
    """

    before: tuple[Hook, ...] = Field((), max_length=20)
    after: tuple[Hook, ...] = Field((), max_length=20)


class Owing(StepOutputs):
    """The note of an attempt that has begun with its hooks: it owes the `after` hooks."""

    kind: Literal["hooks"] = "hooks"
    attempt: str


@dataclass(slots=True)
class HookRun:
    """What became of the `after` hooks, once they have run."""

    problems: list[str] = field(default_factory=list)

    def check(self, what_was_done: str) -> None:
        """Raise StepFailed when an `after` hook failed."""
        if self.problems:
            raise StepFailed(
                f"{what_was_done}, but what its `before` hook stopped may still stand: the `after` hook "
                + "; ".join(self.problems)
            )


@asynccontextmanager
async def around(ctx: StepContext, hooks: Hooks) -> AsyncIterator[HookRun]:
    """Run the `before` hooks, the body, and always the `after` hooks; raises StepFailed when a `before` fails.

    The caller asks `check` of what it is given when it has finished its own work; when the body fails, the problems
    of the hooks are logged. When they did not come to their end, because the attempt had to, what is raised is
    `cut_off`, and they stay owed.
    """
    run = HookRun()
    if hooks.after:
        # Noted before anything is stopped: should this process be killed, its agent finds out by it what is owed.
        try:
            await owed.write(DEBT, ctx.attempt_key, Owing(attempt=ctx.attempt_key))
        except BaseException:
            owed.settle(DEBT, ctx.attempt_key)  # nothing was stopped yet
            raise
    try:
        for hook in hooks.before:
            if problem := await _run(ctx, hook):
                raise StepFailed(f"nothing was backed up, as the `before` hook {problem}")
        yield run
    except Exception as error:
        await _run_after_failure(ctx, hooks, error)
        raise
    except BaseException:
        await _run_after_failure(ctx, hooks, StepCancelled("the attempt was stopped"))
        raise
    run.problems += await _run_after(ctx, hooks)


async def _run_after_failure(ctx: StepContext, hooks: Hooks, error: Exception) -> None:
    """Run the `after` hooks and log what went wrong; when they stay owed, raise `error` as one of an attempt that was
    cut off."""
    try:
        problems = await _run_after(ctx, hooks)
    except PluginApiError as owed_still:
        ctx.log(str(owed_still))
        told = error if isinstance(error, PluginApiError) else StepFailed(f"{type(error).__name__}: {error}")
        told.cut_off = True
        raise told from error.__cause__
    for problem in problems:
        ctx.log(f"the `after` hook {problem}")


async def run_owed(ctx: StepContext, hooks: Hooks, attempt: str) -> str:
    """Run the `after` hooks of an interrupted attempt that began with its hooks and did not come to these; says so.

    Raises StepFailed when one of them fails, and InfrastructureFailed when the note of it cannot be read; they are
    owed then as before.
    """
    if await asyncio.to_thread(owed.find, DEBT, attempt, Owing) is None:
        return ""
    problems = [problem for hook in hooks.after if (problem := await _run(ctx, hook))]
    if problems:
        raise StepFailed(f"what a `before` hook stopped may still stand: the `after` hook {'; '.join(problems)}")
    await asyncio.to_thread(owed.settle, DEBT, attempt)
    return f"ran {len(hooks.after)} `after` hook(s)"


async def _run_after(ctx: StepContext, hooks: Hooks) -> list[str]:
    """Run them to their end, even when the attempt should stop; then within a few seconds. Returns what went wrong.

    Raises StepCancelled or DeadlineExceeded, `cut_off`, when one did not come to its end in that time: its note stays,
    so that the recovery runs it.
    """
    calm = replace(ctx, cancel=asyncio.Event(), deadline=None)
    if ctx.cancel.is_set() or ctx.remaining() == 0.0:
        calm = calm.within(STOPPING_SECONDS)
    problems, killed = [], []
    for hook in hooks.after:
        try:
            problem = await _run(calm, hook)
        except DeadlineExceeded:
            killed.append(f"`{_name(hook)}`")
        except asyncio.CancelledError:  # told to stop only now: the others get what is left
            killed.append(f"`{_name(hook)}`")
            calm = calm.within(STOPPING_SECONDS)
        else:
            problems += [problem] if problem else []
    if killed:
        told = "; ".join([f"the `after` hook {' and '.join(killed)} {_KILLED}", *problems])
        raise _cut_off(StepCancelled(told) if ctx.cancel.is_set() else DeadlineExceeded(told))
    # What went wrong is told by the attempt itself.
    await asyncio.to_thread(owed.settle, DEBT, ctx.attempt_key)
    return problems


def _cut_off(error: ErrorT) -> ErrorT:
    error.cut_off = True
    return error


async def _run(ctx: StepContext, hook: Hook) -> str:
    """Run one hook; returns what went wrong, empty when nothing did. The attempt's own end passes through."""
    ctx.log(f"hook: {_name(hook)}")
    seconds = hook.timeout.total_seconds()
    async with AsyncExitStack() as stack:
        files = {
            variable: await stack.enter_async_context(ctx.secret_file(ref))
            for variable, ref in hook.secret_files.items()
        }
        try:
            result = await ctx.program(
                list(hook.argv),
                env={**hook.env, **{variable: file.path for variable, file in files.items()}},
                pass_fds=[file.fd for file in files.values()],
                deadline=ctx.clock() + seconds,
            )
        except DeadlineExceeded:
            if ctx.remaining() == 0.0:
                raise
            return f"`{_name(hook)}` was killed after its timeout of {seconds:g} s"
        except StepError as error:
            return f"`{_name(hook)}` could not be run: {error}"
    if result.exit_code == 0:
        return ""
    said = " | ".join((result.stderr or result.stdout).decode("utf-8", "backslashreplace").split("\n")[-4:]).strip(" |")
    return f"`{_name(hook)}` ended with {result.ending}: {said[-500:] or 'it said nothing'}"


def _name(hook: Hook) -> str:
    return shlex.join(hook.argv)[:300]
