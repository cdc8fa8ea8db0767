"""One run of `ansible-playbook`: how it is started, and what its end means."""

import os
import shutil
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pilotage_plugin_api import (
    InfrastructureFailed,
    ProgramResult,
    Refused,
    StepContext,
    StepFailed,
    TargetFailed,
)

from pilotage_plugins.ansible.events import Course, TaskResult, listening
from pilotage_plugins.ansible.offered_file import offered

PROGRAM: Final = "ansible-playbook"
CALLBACKS: Final = Path(__file__).with_name("callbacks")
BAD_ARGUMENTS: Final = 5
CANNOT_READ: Final = 4
"""Also how it exits for unreachable hosts; then it has told of their end."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What it runs: a playbook on the host (`path`), or a text under a name. Contents are private."""

    path: str | None
    name: str
    text: str | None
    inventory: str | None
    arguments: tuple[str, ...]
    variables: bytes | None = field(repr=False)
    vault_password: bytes | None = field(repr=False)
    env: Mapping[str, str]

    @property
    def shown(self) -> str:
        """Return the playbook's name for messages."""
        return self.path or self.name


def find_program(ctx: StepContext) -> str | None:
    """Return the program of the host's PATH, else the one installed beside this Python."""
    beside = Path(sys.executable).with_name(PROGRAM)
    return shutil.which(PROGRAM, path=ctx.environment.get("PATH")) or (str(beside) if beside.is_file() else None)


async def run_playbook(ctx: StepContext, setting: Setting, *, check: bool) -> tuple[Course, ProgramResult]:
    """Run it to its end, whatever that is; raises TargetFailed for what the host lacks."""
    program = find_program(ctx)
    if program is None:
        raise TargetFailed(f"there is no {PROGRAM} on this host: install ansible-core")
    for path in filter(None, (setting.path, setting.inventory)):
        if not os.path.lexists(path):
            raise TargetFailed(f"there is no {path!r} on this host")
    playbook = Path(setting.path) if setting.path else ctx.scratch / setting.name
    if setting.text is not None:
        playbook.write_text(setting.text, encoding="utf-8")
    course = Course()
    async with AsyncExitStack() as stack:
        argv = [program, *_where(setting), *setting.arguments, *(("--check", "--diff") if check else ())]
        if setting.variables is not None:
            offer = offered(ctx.scratch / "variables.json", setting.variables)
            argv.append(f"--extra-vars=@{await stack.enter_async_context(offer)}")
        if setting.vault_password is not None:
            offer = offered(ctx.scratch / "vault-password", setting.vault_password)
            argv.append(f"--vault-password-file={await stack.enter_async_context(offer)}")
        events = await stack.enter_async_context(listening(course, lambda task: _tell(ctx, course, task)))
        result = await ctx.program(
            [*argv, "--", str(playbook)],
            cwd=playbook.parent,
            env={**setting.env, **_environment(ctx, setting, events, check)},
            pass_fds=[events],
        )
    return course, result


def verdict(course: Course, result: ProgramResult, *, checking: bool) -> None:
    """Raise what the end of a run means; a run that went well passes. In check mode, failed tasks are told, not raised.

    StepFailed where a host failed, InfrastructureFailed where hosts were unreachable and none failed, Refused for a
    playbook that Ansible cannot read or that is for no host at all.
    """
    said = (result.stderr or result.stdout)[-2000:].decode("utf-8", "backslashreplace").strip()
    if not course.ended:
        if result.exit_code in (CANNOT_READ, BAD_ARGUMENTS):
            raise Refused(f"Ansible cannot read the playbook: {said}")
        raise StepFailed(f"{PROGRAM} broke off with {result.ending}; its last words: {said}")
    if not course.hosts:
        raise Refused(
            "the playbook has no play for any host here: write `hosts: all`, or give the inventory that it needs"
        )
    failed = sorted(name for name, host in course.hosts.items() if host.failed)
    unreachable = sorted(name for name, host in course.hosts.items() if host.unreachable)
    if checking:
        return
    if failed:
        raise StepFailed(f"{_several(failed)} failed: {_first(course.failures)}")
    if unreachable:
        raise InfrastructureFailed(f"Ansible did not reach {_several(unreachable)}: {_first(course.unreachable)}")
    if result.exit_code != 0:
        raise StepFailed(f"{PROGRAM} ended with {result.ending}; its last words: {said}")


def _where(setting: Setting) -> tuple[str, ...]:
    if setting.inventory is not None:
        return ("--inventory", setting.inventory)
    return ("--inventory", "localhost,", "--connection", "local")


def _environment(ctx: StepContext, setting: Setting, events: int, check: bool) -> dict[str, str]:
    """Return the variables that are ours. Temporary files of a run on this host stay in the scratch folder."""
    temporary = str(ctx.scratch / "ansible")
    return {
        "ANSIBLE_CALLBACK_PLUGINS": str(CALLBACKS),
        "ANSIBLE_CALLBACKS_ENABLED": "pilotage_events",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_RETRY_FILES_ENABLED": "0",
        "ANSIBLE_LOCAL_TEMP": temporary,
        "PYTHONDONTWRITEBYTECODE": "1",
        "PILOTAGE_EVENTS": str(events),
        "PILOTAGE_CHECK": "1" if check else "0",
        **(
            {} if setting.inventory else {"ANSIBLE_REMOTE_TEMP": temporary, "ANSIBLE_PYTHON_INTERPRETER": "auto_silent"}
        ),
    }


def _tell(ctx: StepContext, course: Course, task: str) -> None:
    ctx.progress(None, f"task {course.tasks}: {task}")


def _several(names: list[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more


def _first(results: list[TaskResult]) -> str:
    if not results:
        return "Ansible does not say why; see the log"
    first = results[0]
    more = f" (and {len(results) - 1} more failures, in the log)" if len(results) > 1 else ""
    return f"task {first.task!r} on {first.host}: {first.message or 'see the log'}{more}"
