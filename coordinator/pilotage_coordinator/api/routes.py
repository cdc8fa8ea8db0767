"""The HTTP routes: one for each operation. Path parameters name fields of the operation's request."""

from dataclasses import dataclass
from typing import Any, Final

from pilotage_coordinator.service import (
    api_tokens,
    audit,
    backups,
    blueprints,
    changes,
    choices,
    control,
    coordinator,
    doctor,
    executions,
    hosts,
    logs,
    notifications,
    plans,
    policies,
    principals,
    roles,
    secrets,
    whoami,
)
from pilotage_coordinator.service.verb import Stream, Verb


@dataclass(frozen=True, slots=True)
class Route:
    """GET and DELETE take the request's fields from path and query, all others from path and JSON body."""

    method: str
    path: str
    verb: Verb[Any, Any] | Stream[Any, Any]
    status: int = 200


ROUTES: Final = (
    Route("GET", "/v1/blueprints", blueprints.list_blueprints),
    Route("POST", "/v1/blueprints", blueprints.add_blueprint, 201),
    Route("POST", "/v1/blueprints/validate", blueprints.validate_blueprint),
    Route("GET", "/v1/blueprints/{blueprint}", blueprints.show_blueprint),
    Route("POST", "/v1/blueprints/{blueprint}/choices", choices.show_choices),
    Route("POST", "/v1/plans", plans.make_plan, 201),
    Route("GET", "/v1/plans/{digest}", plans.show_plan),
    Route("GET", "/v1/executions", executions.list_runs),
    Route("POST", "/v1/executions", executions.start_run, 201),
    Route("POST", "/v1/exec", executions.exec_command, 201),
    Route("GET", "/v1/executions/{execution}", executions.show_run),
    Route("GET", "/v1/executions/{execution}/events", executions.watch_run),
    Route("GET", "/v1/executions/{execution}/replay", executions.replay_run),
    Route("POST", "/v1/executions/{execution}/pause", control.pause_run, 202),
    Route("POST", "/v1/executions/{execution}/resume", control.resume_run, 202),
    Route("POST", "/v1/executions/{execution}/cancel", control.cancel_run, 202),
    Route("POST", "/v1/executions/{execution}/retry", control.retry_run, 202),
    Route("POST", "/v1/executions/{execution}/resolve", control.resolve_run, 202),
    Route("POST", "/v1/executions/{execution}/gates/{gate:path}", control.release_gate, 202),
    Route("POST", "/v1/executions/{execution}/close", changes.close_run, 201),
    Route("GET", "/v1/executions/{execution}/logs", logs.read_logs),
    Route("GET", "/v1/executions/{execution}/logs/follow", logs.follow_logs),
    Route("POST", "/v1/tokens", hosts.make_token, 201),
    Route("GET", "/v1/hosts", hosts.list_hosts),
    Route("GET", "/v1/hosts/{host}", hosts.show_host),
    Route("PATCH", "/v1/hosts/{host}", hosts.set_host),
    Route("POST", "/v1/hosts/{host}/release", hosts.release_host),
    Route("POST", "/v1/hosts/{host}/revoke", hosts.revoke_host),
    Route("GET", "/v1/secrets", secrets.list_secrets),
    Route("POST", "/v1/secrets/export", secrets.export_secrets),
    Route("PUT", "/v1/secrets/{name:path}", secrets.set_secret),
    Route("PUT", "/v1/secret-grants/{name:path}", secrets.grant_secret),
    Route("DELETE", "/v1/secrets/{name:path}", secrets.remove_secret),
    Route("GET", "/v1/notifications", notifications.list_notifications),
    Route("POST", "/v1/notifications/{notification}/retry", notifications.retry_notification, 202),
    Route("GET", "/v1/audit", audit.search_audit),
    Route("GET", "/v1/audit/verify", audit.verify_audit),
    Route("GET", "/v1/audit/export", audit.export_audit),
    Route("GET", "/v1/whoami", whoami.whoami),
    Route("POST", "/v1/principals", principals.add_principal, 201),
    Route("GET", "/v1/principals", principals.list_principals),
    Route("GET", "/v1/principals/{principal}", principals.show_principal),
    Route("POST", "/v1/principals/{principal}/disable", principals.disable_principal),
    Route("POST", "/v1/principals/{principal}/enable", principals.enable_principal),
    Route("POST", "/v1/principals/{principal}/roles", principals.set_principal_role),
    Route("POST", "/v1/principals/{principal}/keys", principals.set_principal_keys),
    Route("GET", "/v1/roles", roles.list_roles),
    Route("GET", "/v1/roles/{role}", roles.show_role),
    Route("PUT", "/v1/roles/{role}", roles.set_role),
    Route("DELETE", "/v1/roles/{role}", roles.remove_role),
    Route("POST", "/v1/api-tokens", api_tokens.create_token, 201),
    Route("GET", "/v1/api-tokens", api_tokens.list_tokens),
    Route("POST", "/v1/api-tokens/{token}/rotate", api_tokens.rotate_token, 201),
    Route("POST", "/v1/api-tokens/{token}/revoke", api_tokens.revoke_token),
    Route("POST", "/v1/backups", backups.create_backup, 201),
    Route("GET", "/v1/coordinator/recovery", backups.show_recovery),
    Route("POST", "/v1/coordinator/recovery", backups.sign_recovery),
    Route("GET", "/v1/policy", policies.show_policy),
    Route("PUT", "/v1/policy", policies.set_policy),
    Route("GET", "/v1/policy/history", policies.policy_history),
    Route("POST", "/v1/policy/rollback", policies.roll_back_policy, 201),
    Route("POST", "/v1/policy/test", policies.test_policy),
    Route("POST", "/v1/policy/explain", policies.explain_policy),
    Route("GET", "/v1/doctor", doctor.examine),
    Route("GET", "/v1/coordinator", coordinator.status),
    Route("GET", "/v1/coordinator/authority", coordinator.show_authority),
    Route("POST", "/v1/coordinator/stop", coordinator.stop, 202),
)
