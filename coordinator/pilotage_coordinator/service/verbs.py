"""Every operation's function in one tuple, for faces and tests to walk."""

from typing import Any, Final

from pilotage_coordinator.service import (
    audit,
    blueprints,
    choices,
    control,
    coordinator,
    doctor,
    executions,
    hosts,
    logs,
    notifications,
    plans,
    secrets,
)
from pilotage_coordinator.service.verb import Stream, Verb

VERBS: Final[tuple[Verb[Any, Any], ...]] = (
    blueprints.list_blueprints,
    blueprints.show_blueprint,
    blueprints.validate_blueprint,
    blueprints.add_blueprint,
    choices.show_choices,
    plans.make_plan,
    plans.show_plan,
    executions.start_run,
    executions.exec_command,
    executions.list_runs,
    executions.show_run,
    executions.replay_run,
    control.pause_run,
    control.resume_run,
    control.cancel_run,
    control.retry_run,
    control.resolve_run,
    control.release_gate,
    logs.read_logs,
    hosts.make_token,
    hosts.list_hosts,
    hosts.show_host,
    hosts.set_host,
    hosts.release_host,
    hosts.revoke_host,
    secrets.set_secret,
    secrets.list_secrets,
    secrets.remove_secret,
    notifications.list_notifications,
    notifications.retry_notification,
    audit.search_audit,
    audit.verify_audit,
    audit.export_audit,
    doctor.examine,
    coordinator.status,
    coordinator.stop,
)

STREAMS: Final[tuple[Stream[Any, Any], ...]] = (executions.watch_run, logs.follow_logs)

ALL: Final[tuple[Verb[Any, Any] | Stream[Any, Any], ...]] = VERBS + STREAMS
