"""`ansible.playbook`: a playbook, run on the host for the host itself, or for an inventory that lies there."""

import json
from typing import Annotated, Final

from pilotage_plugin_api import (
    Action,
    Availability,
    BlueprintFile,
    Change,
    Effect,
    Preview,
    SecretRef,
    StepContext,
    StepOutputs,
    StepParams,
    StepType,
)
from pydantic import Field, JsonValue

from pilotage_plugins.ansible.events import HostResult, TaskResult
from pilotage_plugins.ansible.run import Setting, find_program, run_playbook, verdict
from pilotage_plugins.file.wish import FilePath

PLAYBOOK_LIMIT: Final = 192 * 1024
HOSTS_SHOWN: Final = 300
FAILURES_SHOWN: Final = 20
CHANGES_SHOWN: Final = 200

Word = Annotated[str, Field(pattern=r"^[^,\s-][^,\s]*$", max_length=255)]
VariableName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=255)]


class AnsiblePlaybookParams(StepParams):
    """The playbook, what it runs on, and what it is given."""

    one_of = ("playbook", "file", "path")

    playbook: str | None = Field(None, min_length=1, max_length=PLAYBOOK_LIMIT, description="The text of the playbook")
    file: BlueprintFile | None = Field(None, description="A file of the blueprint that holds the playbook instead")
    path: FilePath | None = Field(
        None, description="A playbook that lies on the host, beside its roles and files; it runs in its folder"
    )
    inventory: FilePath | None = Field(
        None, description="An inventory that lies on the host (none: the host itself, as localhost, without SSH)"
    )
    limit: Word | None = Field(None, description="Only these hosts of the inventory: Ansible's pattern")
    tags: tuple[Word, ...] = Field((), description="Only tasks with these tags")
    skip_tags: tuple[Word, ...] = Field((), description="No tasks with these tags")
    vars: dict[VariableName, JsonValue] = Field(default_factory=dict, description="Variables, above all others")
    secret_vars: dict[VariableName, SecretRef] = Field(
        default_factory=dict, description="Variables that hold secrets; tasks that use them should say `no_log: true`"
    )
    vault_password: SecretRef | None = Field(None, description="Opens what is encrypted with ansible-vault")
    env: dict[VariableName, str] = Field(
        default_factory=dict, description="Added to a plain environment, such as ANSIBLE_ROLES_PATH"
    )


class AnsiblePlaybookOutputs(StepOutputs):
    """How it ended. `hosts`: Ansible's counts by host (at most 300, `hosts_left_out` says how many more there were)."""

    changed: bool
    hosts: dict[str, HostResult]
    hosts_left_out: int
    tasks: int
    seconds: float


class AnsiblePlaybook(StepType[AnsiblePlaybookParams, AnsiblePlaybookOutputs]):
    """Run an Ansible playbook on the host: for the host itself, or for an inventory that lies there.

    Variables and the vault's password reach Ansible through pipes, never by its arguments or a disk. The preview is
    Ansible's own check mode, with differences; it ends before a task that would not keep to it. Like a command it
    starts at most once; whoever knows that the playbook may be repeated declares `effect: idempotent`.
    """

    name = "ansible.playbook"
    effect = Effect.ONCE
    author_effects = frozenset({Effect.IDEMPOTENT})
    Params = AnsiblePlaybookParams
    Outputs = AnsiblePlaybookOutputs

    async def available(self, ctx: StepContext) -> Availability:
        """Look for the program."""
        if find_program(ctx) is None:
            reason = (
                "there is no ansible-playbook on this host: apt-get install ansible-core, or pip install ansible-core"
            )
            return Availability(available=False, reason=reason)
        return Availability(available=True)

    async def preview(self, ctx: StepContext, params: AnsiblePlaybookParams) -> Preview:
        """Run it in check mode."""
        course, result = await run_playbook(ctx, await _setting(ctx, params), check=True)
        if course.unsafe is None:
            verdict(course, result, checking=True)
        changes = [_change(each) for each in course.changes[:CHANGES_SHOWN]]
        left_out = [each for each in course.skipped if _cannot_check(each)]
        notes = ["check mode changes nothing, so tasks that build on earlier ones may turn out otherwise"]
        if left_out:
            names = ", ".join(dict.fromkeys(each.task for each in left_out))
            notes.append(f"not looked at, as their modules do not support check mode: {names}")
        if course.unsafe is not None:
            notes.append(f"it ends before the task {course.unsafe!r}, which says check_mode: false and would be real")
        if course.failures:
            first = course.failures[0]
            notes.append(f"in check mode {first.task!r} fails on {first.host}: {first.message[:500]}")
        if len(course.changes) > CHANGES_SHOWN:
            notes.append(f"{len(course.changes) - CHANGES_SHOWN} more changes are not shown")
        return Preview(changes=tuple(changes), complete=False, note="; ".join(notes)[:4096])

    async def run(self, ctx: StepContext, params: AnsiblePlaybookParams) -> AnsiblePlaybookOutputs:
        """Run it; hosts that fail are a failure of kind step, only unreachable ones of kind infrastructure."""
        course, result = await run_playbook(ctx, await _setting(ctx, params), check=False)
        verdict(course, result, checking=False)
        shown = sorted(course.hosts)[:HOSTS_SHOWN]
        return AnsiblePlaybookOutputs(
            changed=any(host.changed for host in course.hosts.values()),
            hosts={name: course.hosts[name] for name in shown},
            hosts_left_out=len(course.hosts) - len(shown),
            tasks=course.tasks,
            seconds=round(result.seconds, 3),
        )


async def _setting(ctx: StepContext, params: AnsiblePlaybookParams) -> Setting:
    """Return what Ansible is started with."""
    variables = dict(params.vars)
    for name, ref in params.secret_vars.items():
        variables[name] = (await ctx.secret(ref)).decode("utf-8", "surrogateescape").removesuffix("\n")
    arguments: list[str] = []
    if params.limit is not None:
        arguments += ["--limit", params.limit]
    if params.tags:
        arguments += ["--tags", ",".join(params.tags)]
    if params.skip_tags:
        arguments += ["--skip-tags", ",".join(params.skip_tags)]
    return Setting(
        path=params.path,
        name=params.file.name if params.file else "playbook.yml",
        text=params.file.text if params.file else params.playbook,
        inventory=params.inventory,
        arguments=tuple(arguments),
        variables=json.dumps(variables).encode() if variables else None,
        vault_password=None if params.vault_password is None else await ctx.secret(params.vault_password),
        env=params.env,
    )


def _change(result: TaskResult) -> Change:
    subject = f"{result.host}: {result.task}"
    return Change(action=Action.UPDATE, subject=subject, after=result.diff or None, note=f"by {result.action}")


def _cannot_check(result: TaskResult) -> bool:
    return "check mode" in result.message
