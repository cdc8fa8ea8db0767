"""The client: one method for each operation of a coordinator."""

import base64
import uuid
from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar, Unpack, cast

from pilotage_client import answers
from pilotage_client.place import socket_path
from pilotage_client.transport import Back, Lost, Transport, segment

T = TypeVar("T")


class PilotageClient:
    """Speaks to one coordinator; use it as an async context manager.

    Every method raises CoordinatorUnreachable or RequestRefused (Denied for a missing permission). Lists are read to
    their end unless a `limit` is given.
    """

    def __init__(self, transport: Transport | None = None, *, socket: Path | None = None) -> None:
        """Take a transport, or the coordinator's unix socket (by default that of this user or machine)."""
        self._transport = transport or Transport.over_socket(socket or socket_path())

    async def __aenter__(self) -> "PilotageClient":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._transport.close()

    # Blueprints

    async def list_blueprints(self, limit: int | None = None) -> list[answers.BlueprintSummary]:
        """Return the newest version of every stored blueprint."""
        return await self._all("/v1/blueprints", {}, limit)

    async def show_blueprint(self, blueprint: str) -> answers.BlueprintDetail:
        """Return `id`, `id@1` or `id@1.2.0`."""
        return await self._get(answers.BlueprintDetail, f"/v1/blueprints/{segment(blueprint)}")

    async def validate_blueprint(self, source: str, file: str = "<request>") -> answers.Validated:
        """Check a blueprint file's text."""
        return await self._post(answers.Validated, "/v1/blueprints/validate", source=source, file=file)

    async def add_blueprint(self, source: str, file: str = "<request>") -> answers.Added:
        """Store every blueprint of a file's text."""
        return await self._post(answers.Added, "/v1/blueprints", source=source, file=file)

    async def show_choices(
        self,
        blueprint: str,
        parameter: str,
        *,
        parameters: Mapping[str, Any] | None = None,
        parameter_texts: Mapping[str, str] | None = None,
        limit_to: str = "",
    ) -> answers.Choices:
        """Return what can be chosen for a parameter; the values so far decide which hosts are asked."""
        return await self._post(
            answers.Choices,
            f"/v1/blueprints/{segment(blueprint)}/choices",
            parameter=parameter,
            parameters=dict(parameters or {}),
            parameter_texts=dict(parameter_texts or {}),
            limit_to=limit_to,
        )

    # Plans

    async def make_plan(
        self,
        blueprint: str | None = None,
        *,
        source: str | None = None,
        file: str | None = None,
        workflow: str | None = None,
        command: Sequence[str] | None = None,
        parameters: Mapping[str, Any] | None = None,
        parameter_texts: Mapping[str, str] | None = None,
        limit_to: str = "",
        previews: bool = True,
        change_class: str | None = None,
    ) -> answers.Plan:
        """Plan a stored blueprint, the text of one, or a command; change nothing.

        `parameter_texts` are read by each parameter's type, as on a command line.
        """
        what = _what(blueprint, source, file, workflow, command, parameters, parameter_texts, limit_to)
        return await self._post(answers.Plan, "/v1/plans", **what, previews=previews, change_class=change_class)

    async def show_plan(self, digest: str) -> answers.Plan:
        """Return a plan that was made before."""
        return await self._get(answers.Plan, f"/v1/plans/{segment(digest)}")

    # Executions

    async def start_run(
        self,
        blueprint: str | None = None,
        *,
        plan_digest: str | None = None,
        source: str | None = None,
        file: str | None = None,
        workflow: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        limit_to: str = "",
        reason: str = "",
        reference: str = "",
        change_class: str | None = None,
        idempotency_key: str | None = None,
    ) -> answers.Started:
        """Start a plan by its digest, or plan and start. Without a key of yours, a new one protects this call."""
        what = None
        if plan_digest is None:
            what = _what(blueprint, source, file, workflow, None, parameters, None, limit_to)
        return await self._post(
            answers.Started,
            "/v1/executions",
            plan_digest=plan_digest,
            what=what,
            reason=reason,
            reference=reference,
            change_class=change_class,
            headers=_key(idempotency_key),
        )

    async def exec_command(
        self,
        command: Sequence[str],
        limit_to: str,
        *,
        reason: str = "",
        reference: str = "",
        change_class: str | None = None,
        idempotency_key: str | None = None,
    ) -> answers.Started:
        """Run one command on the hosts of a selector."""
        return await self._post(
            answers.Started,
            "/v1/exec",
            command=list(command),
            limit_to=limit_to,
            reason=reason,
            reference=reference,
            change_class=change_class,
            headers=_key(idempotency_key),
        )

    async def list_runs(
        self,
        *,
        blueprint: str | None = None,
        states: Sequence[str] = (),
        since: datetime | None = None,
        limit: int = 50,
    ) -> list[answers.ExecutionSummary]:
        """Return executions, newest first, at most `limit`; with `since` (which has a zone) none made before."""
        return await self._all("/v1/executions", _chosen_runs(blueprint, states, since), limit)

    async def page_runs(
        self,
        cursor: str = "",
        *,
        blueprint: str | None = None,
        states: Sequence[str] = (),
        since: datetime | None = None,
        limit: int = 50,
    ) -> answers.Page[answers.ExecutionSummary]:
        """Return a part of what `list_runs` lists, and the cursor of the next part; `limit` is at most 1000."""
        query = _chosen_runs(blueprint, states, since)
        return await self._get(
            answers.Page[answers.ExecutionSummary], "/v1/executions", **query, cursor=cursor, limit=limit
        )

    async def show_run(
        self, execution: str, *, step: str = "", host: str = "", states: Sequence[str] = ()
    ) -> answers.ExecutionDetail:
        """Return one execution; `step` (a group: what is inside), `host`, `states` choose which step runs it shows."""
        query = {"step": step or None, "host": host or None, "state": list(states)}
        return await self._get(answers.ExecutionDetail, f"/v1/executions/{segment(execution)}", **query)

    def watch_run(
        self,
        execution: str,
        *,
        after: int = 0,
        patience: float = 60.0,
        lost: Lost | None = None,
        back: Back | None = None,
    ) -> AsyncGenerator[answers.Watched, None]:
        """Yield events above `after`, then live ones, until the execution ends; survives a coordinator's restart."""
        return self._transport.stream(
            f"/v1/executions/{segment(execution)}/events",
            query={"after": after},
            patience=patience,
            lost=lost,
            back=back,
        )

    async def replay_run(self, execution: str, at: int = 0) -> answers.Replayed:
        """Return how an execution stood after the event `at` (0: the newest)."""
        return await self._get(answers.Replayed, f"/v1/executions/{segment(execution)}/replay", at=at)

    async def pause_run(self, execution: str, reason: str = "") -> answers.ExecutionSummary:
        """Start nothing new."""
        return await self._post(answers.ExecutionSummary, f"/v1/executions/{segment(execution)}/pause", reason=reason)

    async def close_run(self, execution: str, outcome: str, *, note: str = "") -> answers.ChangeRecord:
        """Close the change of an execution that has ended: successful, failed or backed_out."""
        path = f"/v1/executions/{segment(execution)}/close"
        return await self._post(answers.ChangeRecord, path, outcome=outcome, note=note)

    async def resume_run(self, execution: str, reason: str = "") -> answers.ExecutionSummary:
        """Go on after a pause."""
        return await self._post(answers.ExecutionSummary, f"/v1/executions/{segment(execution)}/resume", reason=reason)

    async def cancel_run(self, execution: str, reason: str = "") -> answers.ExecutionSummary:
        """Stop what runs."""
        return await self._post(answers.ExecutionSummary, f"/v1/executions/{segment(execution)}/cancel", reason=reason)

    async def retry_run(self, execution: str, from_step: str | None = None) -> answers.ExecutionSummary:
        """Run again what failed; or a step and all that depends on it."""
        return await self._post(
            answers.ExecutionSummary, f"/v1/executions/{segment(execution)}/retry", from_step=from_step
        )

    async def resolve_run(
        self, execution: str, step: str, outcome: str, *, host: str = "", item: str = "", comment: str = ""
    ) -> answers.ExecutionSummary:
        """Say what became of an unknown step run: succeeded, failed or retry."""
        return await self._post(
            answers.ExecutionSummary,
            f"/v1/executions/{segment(execution)}/resolve",
            step=step,
            outcome=outcome,
            host=host,
            item=item,
            comment=comment,
        )

    async def release_gate(
        self, execution: str, gate: str, outcome: str = "approved", comment: str = ""
    ) -> answers.ExecutionSummary:
        """Answer a gate: approved or denied."""
        path = f"/v1/executions/{segment(execution)}/gates/{segment(gate)}"
        return await self._post(answers.ExecutionSummary, path, outcome=outcome, comment=comment)

    # Schedules

    async def create_schedule(
        self, name: str, blueprint: str, *, enabled: bool = True, **settings: Unpack[answers.ScheduleSettings]
    ) -> answers.ScheduleAnswer:
        """Let a stored blueprint run at certain times, with your rights."""
        body: dict[str, Any] = {"name": name, "blueprint": blueprint, "enabled": enabled, **settings}
        return await self._post(answers.ScheduleAnswer, "/v1/schedules", **body)

    async def update_schedule(
        self, schedule: str, *, blueprint: str | None = None, **settings: Unpack[answers.ScheduleSettings]
    ) -> answers.ScheduleAnswer:
        """Change a schedule (by name or id) and become its owner; what is not given stays."""
        body = {"blueprint": blueprint, **settings}
        return cast(answers.ScheduleAnswer, await self._transport.ask("PATCH", _schedule(schedule), body=body))

    async def enable_schedule(self, schedule: str, reason: str = "") -> answers.ScheduleAnswer:
        """Give a schedule its times again that is disabled, cancelled, stopped or finished."""
        return await self._post(answers.ScheduleAnswer, f"{_schedule(schedule)}/enable", reason=reason)

    async def pause_schedule(self, schedule: str, reason: str = "") -> answers.ScheduleAnswer:
        """Skip its times until it is resumed."""
        return await self._post(answers.ScheduleAnswer, f"{_schedule(schedule)}/pause", reason=reason)

    async def resume_schedule(self, schedule: str, reason: str = "") -> answers.ScheduleAnswer:
        """Let a paused schedule run again."""
        return await self._post(answers.ScheduleAnswer, f"{_schedule(schedule)}/resume", reason=reason)

    async def cancel_schedule(self, schedule: str, reason: str = "") -> answers.ScheduleAnswer:
        """End a schedule; its history stays."""
        return await self._post(answers.ScheduleAnswer, f"{_schedule(schedule)}/cancel", reason=reason)

    async def run_schedule(self, schedule: str, reason: str = "") -> answers.Started:
        """Start now what it starts, as your own execution."""
        return await self._post(answers.Started, f"{_schedule(schedule)}/run", reason=reason)

    async def list_schedules(
        self, *, cancelled: bool = False, limit: int | None = None
    ) -> list[answers.ScheduleAnswer]:
        """Return schedules, newest first."""
        return await self._all("/v1/schedules", {"cancelled": str(cancelled).lower()}, limit)

    async def show_schedule(self, schedule: str) -> answers.ScheduleAnswer:
        """Return one schedule, by name or id."""
        return await self._get(answers.ScheduleAnswer, _schedule(schedule))

    async def list_firings(self, schedule: str, limit: int = 50) -> list[answers.FiringAnswer]:
        """Return what became of a schedule's times, newest first, at most `limit`."""
        return await self._all(f"{_schedule(schedule)}/firings", {}, limit)

    async def show_upcoming(
        self, schedule: str | None = None, *, count: int = 10, hours: int | None = None
    ) -> answers.UpcomingTimes:
        """Return the next times of one schedule, or of all that are active."""
        query = {"schedule": schedule, "count": count, "hours": hours}
        return await self._get(answers.UpcomingTimes, "/v1/upcoming", **query)

    async def explain_schedule(self, cron: str, *, timezone: str = "UTC", count: int = 5) -> answers.ScheduleExplained:
        """Return a cron expression in words, and its next times."""
        return await self._get(answers.ScheduleExplained, "/v1/cron", cron=cron, timezone=timezone, count=count)

    async def read_logs(
        self, execution: str, *, step: str = "", host: str = ""
    ) -> AsyncGenerator[answers.LogLine, None]:
        """Yield the lines that there are."""
        cursor = ""
        while True:
            path = f"/v1/executions/{segment(execution)}/logs"
            page = await self._get(answers.Page[answers.LogLine], path, step=step, host=host, cursor=cursor)
            for line in page["items"]:
                yield line
            cursor = page["next"]
            if not cursor:
                return

    def follow_logs(
        self, execution: str, *, step: str = "", host: str = "", patience: float = 60.0, lost: Lost | None = None
    ) -> AsyncGenerator[answers.LogLine, None]:
        """Yield lines that there are and then come, until the execution ends."""
        return self._transport.stream(
            f"/v1/executions/{segment(execution)}/logs/follow",
            query={"step": step, "host": host},
            patience=patience,
            lost=lost,
        )

    # Hosts

    async def make_token(self, name: str | None = None, labels: Mapping[str, str] | None = None) -> answers.Token:
        """Make a join token, bound to a host name if one is given."""
        return await self._post(answers.Token, "/v1/tokens", name=name, labels=dict(labels or {}))

    async def list_hosts(self, *, revoked: bool = False, limit: int | None = None) -> list[answers.HostSummary]:
        """Return hosts by name."""
        return await self._all("/v1/hosts", {"revoked": str(revoked).lower()}, limit)

    async def show_host(self, host: str) -> answers.HostDetail:
        """Return one host, whole."""
        return await self._get(answers.HostDetail, f"/v1/hosts/{segment(host)}")

    async def set_host(
        self,
        host: str,
        *,
        labels: Mapping[str, str | None] | None = None,
        variables: Mapping[str, Any] | None = None,
        environment: str | None = None,
    ) -> answers.HostDetail:
        """Set labels and variables; None removes one."""
        body = {"labels": dict(labels or {}), "variables": dict(variables or {}), "environment": environment}
        return cast(answers.HostDetail, await self._transport.ask("PATCH", f"/v1/hosts/{segment(host)}", body=body))

    async def release_host(self, host: str, reason: str) -> answers.HostSummary:
        """Let a host out of quarantine; `reason` says what was found."""
        return await self._post(answers.HostSummary, f"/v1/hosts/{segment(host)}/release", reason=reason)

    async def revoke_host(self, host: str, reason: str = "") -> answers.HostSummary:
        """Shut a host out for good."""
        return await self._post(answers.HostSummary, f"/v1/hosts/{segment(host)}/revoke", reason=reason)

    # Secrets

    async def set_secret(
        self, name: str, value: bytes, grants: Sequence[answers.SecretGrant] = ()
    ) -> answers.SecretStored:
        """Store or replace a secret; without `grants` a new one is given to nobody, and one replaced keeps its own."""
        body = {"value_base64": base64.b64encode(value).decode(), "grants": list(grants)}
        return cast(answers.SecretStored, await self._transport.ask("PUT", f"/v1/secrets/{_name(name)}", body=body))

    async def grant_secret(
        self, name: str, grants: Sequence[answers.SecretGrant], was: Sequence[answers.SecretGrant]
    ) -> answers.SecretGranted:
        """Say who may be given a secret's value; a Conflict when its grants are not what they `was` any more."""
        body = {"grants": list(grants), "was": list(was)}
        return cast(
            answers.SecretGranted, await self._transport.ask("PUT", f"/v1/secret-grants/{_name(name)}", body=body)
        )

    async def list_secrets(self, limit: int | None = None) -> list[answers.Secret]:
        """Return the names of secrets."""
        return await self._all("/v1/secrets", {}, limit)

    async def export_secrets(self, recipients: Sequence[str]) -> answers.SecretsExported:
        """Return every secret, encrypted to age keys."""
        return await self._post(answers.SecretsExported, "/v1/secrets/export", recipients=list(recipients))

    async def remove_secret(self, name: str) -> answers.SecretRemoved:
        """Remove a secret."""
        return cast(answers.SecretRemoved, await self._transport.ask("DELETE", f"/v1/secrets/{_name(name)}"))

    # Notifications

    # Approvals

    async def list_approvals(
        self, *, state: str = "open", execution: str | None = None, limit: int | None = None
    ) -> list[answers.ApprovalSummary]:
        """Return requests for approval, newest first: the open ones, or `all`."""
        return await self._all("/v1/approvals", {"state": state, "execution": execution}, limit)

    async def show_approval(self, approval: str) -> answers.ApprovalDetail:
        """Return one request with the plan that it is about, and what is signed to decide."""
        return await self._get(answers.ApprovalDetail, f"/v1/approvals/{segment(approval)}")

    async def approve(self, approval: str, proof: str, comment: str = "") -> answers.ApprovalSummary:
        """Approve, with the signature of `to_approve` in `namespace` by a registered key of the caller."""
        path = f"/v1/approvals/{segment(approval)}/approve"
        return await self._post(answers.ApprovalSummary, path, proof=proof, comment=comment)

    async def reject(self, approval: str, proof: str, comment: str = "") -> answers.ApprovalSummary:
        """Reject, with the signature of `to_reject`."""
        path = f"/v1/approvals/{segment(approval)}/reject"
        return await self._post(answers.ApprovalSummary, path, proof=proof, comment=comment)

    async def delegate(
        self, to: str, until: datetime, *, since: datetime, proof: str, reason: str = ""
    ) -> answers.Delegation:
        """Lend one's own say on approvals to another person from a time until another.

        `proof` signs (caller, `to`, `since`, `until`) by a registered key of the caller, as docs/governance.md says.
        """
        body: dict[str, Any] = {"to": to, "since": since.isoformat(), "until": until.isoformat()}
        return await self._post(answers.Delegation, "/v1/delegations", **body, proof=proof, reason=reason)

    async def list_delegations(self) -> list[answers.Delegation]:
        """Return the delegations that have not ended."""
        return await self._all("/v1/delegations", {}, None)

    async def undelegate(self, delegation: str) -> answers.Delegation:
        """Take one's say back before the time is over."""
        return await self._post(answers.Delegation, f"/v1/delegations/{segment(delegation)}/end")

    # Notifications

    async def list_notifications(
        self, *, state: str | None = None, execution: str | None = None, limit: int | None = None
    ) -> list[answers.Notification]:
        """Return notifications, newest first; of one state (waiting, delivered, dead) or execution if given."""
        return await self._all("/v1/notifications", {"state": state, "execution": execution}, limit)

    async def retry_notification(self, notification: str) -> answers.Notification:
        """Send one again that could not be delivered."""
        return await self._post(answers.Notification, f"/v1/notifications/{segment(notification)}/retry")

    # The audit log

    async def search_audit(
        self,
        *,
        principal: str = "",
        operation: str = "",
        subject: str = "",
        outcome: str = "",
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = None,
    ) -> list[answers.AuditEntry]:
        """Return entries, newest first; empty fields match all, `operation="run"` all that begin with `run.`."""
        query = {"principal": principal, "operation": operation, "about": subject, "outcome": outcome}
        times = {"since": since, "until": until}
        query |= {name: moment.isoformat() for name, moment in times.items() if moment is not None}
        return await self._all("/v1/audit", query, limit)

    async def verify_audit(self, known: tuple[int, str] | None = None) -> answers.AuditVerified:
        """Check the whole log; `known` is an entry's sequence and hash as they were seen earlier."""
        query = {} if known is None else {"known_sequence": known[0], "known_hash": known[1]}
        return await self._get(answers.AuditVerified, "/v1/audit/verify", **query)

    async def export_audit(self) -> AsyncGenerator[answers.AuditLines, None]:
        """Yield the parts of an export; the first one's `head` is the line that comes after all others."""
        part = await self._get(answers.AuditLines, "/v1/audit/export")
        until = part["head_sequence"]
        yield part
        while part["next"]:
            part = await self._get(answers.AuditLines, "/v1/audit/export", after=part["next"], until=until)
            yield part

    # Principals, roles, tokens

    async def whoami(self) -> answers.Whoami:
        """Return who the caller is here."""
        return await self._get(answers.Whoami, "/v1/whoami")

    async def add_principal(
        self,
        principal: str,
        kind: str,
        *,
        description: str = "",
        sponsor: str | None = None,
        role: str | None = None,
        limits: Mapping[str, Any] | None = None,
        keys: Sequence[str] = (),
    ) -> answers.PrincipalDetail:
        """Add a person, a service or an assistant.

        `limits` limit the role: blueprints, categories, environments (lists), hosts (a selector).
        """
        return await self._post(
            answers.PrincipalDetail,
            "/v1/principals",
            principal=principal,
            kind=kind,
            description=description,
            sponsor=sponsor,
            role=role,
            limits=dict(limits or {}),
            keys=list(keys),
        )

    async def list_principals(self, limit: int | None = None) -> list[answers.PrincipalSummary]:
        """Return principals by name."""
        return await self._all("/v1/principals", {}, limit)

    async def show_principal(self, principal: str) -> answers.PrincipalDetail:
        """Return one principal, whole."""
        return await self._get(answers.PrincipalDetail, f"/v1/principals/{segment(principal)}")

    async def disable_principal(self, principal: str, reason: str = "") -> answers.PrincipalDetail:
        """Let a principal do nothing more."""
        path = f"/v1/principals/{segment(principal)}/disable"
        return await self._post(answers.PrincipalDetail, path, reason=reason)

    async def enable_principal(self, principal: str) -> answers.PrincipalDetail:
        """Let a disabled principal act again."""
        return await self._post(answers.PrincipalDetail, f"/v1/principals/{segment(principal)}/enable")

    async def set_principal_role(
        self, principal: str, role: str, action: str = "add", *, limits: Mapping[str, Any] | None = None
    ) -> answers.PrincipalDetail:
        """Give a role within limits (see `add_principal`), or with the action `remove` take it away."""
        path = f"/v1/principals/{segment(principal)}/roles"
        return await self._post(answers.PrincipalDetail, path, role=role, action=action, limits=dict(limits or {}))

    async def set_principal_keys(
        self, principal: str, *, add: Sequence[str] = (), remove: Sequence[str] = ()
    ) -> answers.PrincipalDetail:
        """Add public keys (lines of .pub files) to a person's, and remove some by their fingerprints."""
        path = f"/v1/principals/{segment(principal)}/keys"
        return await self._post(answers.PrincipalDetail, path, add=list(add), remove=list(remove))

    async def list_roles(self, limit: int | None = None) -> list[answers.RoleSummary]:
        """Return roles, the built-in ones first."""
        return await self._all("/v1/roles", {}, limit)

    async def show_role(self, role: str) -> answers.RoleDetail:
        """Return one role, whole."""
        return await self._get(answers.RoleDetail, f"/v1/roles/{segment(role)}")

    async def set_role(self, role: str, permissions: Sequence[str], description: str = "") -> answers.RoleDetail:
        """Make or change a role."""
        body = {"permissions": list(permissions), "description": description}
        return cast(answers.RoleDetail, await self._transport.ask("PUT", f"/v1/roles/{segment(role)}", body=body))

    async def remove_role(self, role: str) -> answers.RoleRemoved:
        """Remove a role that nobody holds."""
        return cast(answers.RoleRemoved, await self._transport.ask("DELETE", f"/v1/roles/{segment(role)}"))

    async def create_token(self, principal: str, *, name: str = "", life: int | None = None) -> answers.ApiTokenMade:
        """Make an API token, good for `life` seconds; its text is in this answer only."""
        return await self._post(answers.ApiTokenMade, "/v1/api-tokens", principal=principal, name=name, life=life)

    async def list_tokens(self, principal: str | None = None, limit: int | None = None) -> list[answers.ApiToken]:
        """Return API tokens, of one principal if given."""
        return await self._all("/v1/api-tokens", {"principal": principal}, limit)

    async def rotate_token(self, token: str) -> answers.ApiTokenMade:
        """Make a token in the place of another (by its id), which ends in the same moment."""
        return await self._post(answers.ApiTokenMade, f"/v1/api-tokens/{segment(token)}/rotate")

    async def revoke_token(self, token: str) -> answers.ApiToken:
        """End a token (by its id) at once."""
        return await self._post(answers.ApiToken, f"/v1/api-tokens/{segment(token)}/revoke")

    # Backups of the coordinator

    async def create_backup(
        self, *, recipients: Sequence[str] = (), plain: bool = False, logs: bool = False
    ) -> answers.BackupCreated:
        """Back up the coordinator into its state folder, encrypted to age keys or, if so said, plain."""
        return await self._post(
            answers.BackupCreated, "/v1/backups", recipients=list(recipients), plain=plain, logs=logs
        )

    async def show_recovery(self) -> answers.Recovery:
        """Return what the newest restore has lost, for an owner to sign."""
        return await self._get(answers.Recovery, "/v1/coordinator/recovery")

    async def sign_recovery(self, statement: str, signature: str) -> answers.Recovery:
        """Hand in an owner's signature; `statement` is base64, as `show_recovery` gave it."""
        return await self._post(answers.Recovery, "/v1/coordinator/recovery", statement=statement, signature=signature)

    # The policy

    async def show_policy(self, version: int = 0) -> answers.PolicyAnswer:
        """Return the policy that counts, or an earlier version."""
        return await self._get(answers.PolicyAnswer, "/v1/policy", version=version)

    async def policy_history(self, limit: int | None = None) -> list[answers.PolicyVersion]:
        """Return the versions of the policy, newest first."""
        return await self._all("/v1/policy/history", {}, limit)

    async def set_policy(
        self,
        source: str,
        file: str = "<request>",
        *,
        comment: str = "",
        check: bool = False,
        expected_version: int | None = None,
    ) -> answers.PolicySet:
        """Let a policy count from now on; with `check` only say what would change."""
        body = {
            "source": source,
            "file": file,
            "comment": comment,
            "check": check,
            "expected_version": expected_version,
        }
        return cast(answers.PolicySet, await self._transport.ask("PUT", "/v1/policy", body=body))

    async def roll_back_policy(self, version: int, *, comment: str = "") -> answers.PolicySet:
        """Bring an earlier version of the policy back, as a new one."""
        return await self._post(answers.PolicySet, "/v1/policy/rollback", version=version, comment=comment)

    async def test_policy(self, source: str | None = None, file: str = "<request>") -> answers.PolicyTested:
        """Try the table of cases of a policy; by default of the one that counts."""
        return await self._post(answers.PolicyTested, "/v1/policy/test", source=source, file=file)

    async def explain_policy(self, operation: str, **question: Any) -> answers.Explained:
        """Return what the policy decides about a step type, and what each rule has to do with it.

        `question`: host, principal, kind, roles, effect, destructive, irreversible, blueprint, category, labels,
        environment, parameters, change_class, at.
        """
        body = {"operation": operation, **question}
        return cast(answers.Explained, await self._transport.ask("POST", "/v1/policy/explain", body=body))

    # Compliance

    async def check_compliance(self, blueprint: str | None = None, *, limit_to: str = "") -> answers.ComplianceChecked:
        """Check a stored blueprint against the rules of compliance; without one, all of them."""
        return await self._post(
            answers.ComplianceChecked,
            "/v1/compliance/check",
            blueprint=blueprint,
            all=blueprint is None,
            limit_to=limit_to,
        )

    async def report_compliance(
        self, blueprint: str | None = None, *, since: datetime | None = None, until: datetime | None = None
    ) -> answers.ComplianceReport:
        """Return what was checked from `since` on and before `until`; both have a zone."""
        times = {"since": since, "until": until}
        period = {name: each.isoformat() for name, each in times.items() if each is not None}
        return await self._get(answers.ComplianceReport, "/v1/compliance/report", blueprint=blueprint, **period)

    # The coordinator

    async def show_authority(self) -> answers.Authority:
        """Return the certificate by which other machines know the coordinator."""
        return await self._get(answers.Authority, "/v1/coordinator/authority")

    async def examine(self) -> answers.Examined:
        """Let the doctor look."""
        return await self._get(answers.Examined, "/v1/doctor")

    async def status(self) -> answers.Status:
        """Return how the coordinator is."""
        return await self._get(answers.Status, "/v1/coordinator")

    async def stop(self) -> answers.Stopping:
        """Stop the coordinator gracefully."""
        return await self._post(answers.Stopping, "/v1/coordinator/stop")

    async def healthy(self) -> bool:
        """Return whether it serves; raises CoordinatorUnreachable when nobody answers."""
        answer = await self._transport.ask("GET", "/v1/health")
        return bool(answer["status"] == "serving")

    async def _get(self, kind: type[T], path: str, **query: Any) -> T:
        return cast(T, await self._transport.ask("GET", path, query=query))

    async def _post(self, kind: type[T], path: str, /, *, headers: Mapping[str, str] | None = None, **body: Any) -> T:
        return cast(T, await self._transport.ask("POST", path, body=body, headers=headers))

    async def _all(self, path: str, query: Mapping[str, Any], limit: int | None) -> list[Any]:
        found: list[Any] = []
        cursor = ""
        while limit is None or len(found) < limit:
            size = 1000 if limit is None else min(1000, limit - len(found))
            page = await self._get(answers.Page[Any], path, **query, cursor=cursor, limit=size)
            found += page["items"]
            cursor = page["next"]
            if not cursor:
                break
        return found


def _what(
    blueprint: str | None,
    source: str | None,
    file: str | None,
    workflow: str | None,
    command: Sequence[str] | None,
    parameters: Mapping[str, Any] | None,
    parameter_texts: Mapping[str, str] | None,
    limit_to: str,
) -> dict[str, Any]:
    values = {
        "blueprint": blueprint,
        "source": source,
        "file": file,
        "workflow": workflow,
        "command": list(command) if command is not None else None,
        "parameters": dict(parameters or {}),
        "parameter_texts": dict(parameter_texts or {}),
        "limit_to": limit_to,
    }
    return {name: value for name, value in values.items() if value is not None}


def _schedule(schedule: str) -> str:
    return f"/v1/schedules/{segment(schedule)}"


def _chosen_runs(blueprint: str | None, states: Sequence[str], since: datetime | None) -> dict[str, Any]:
    return {"blueprint": blueprint, "state": list(states), "since": since.isoformat() if since else None}


def _key(given: str | None) -> dict[str, str]:
    return {"idempotency-key": given or uuid.uuid4().hex}


def _name(secret: str) -> str:
    """Return a secret's name as path: its slashes stand."""
    return "/".join(segment(part) for part in secret.split("/"))
