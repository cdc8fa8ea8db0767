"""From this host's settings to what it asks for."""

from pilotage_agent.approval.consent import Demands
from pilotage_agent.approval.pins import checked_approvers, read_approvers
from pilotage_agent.config import AgentConfig
from pilotage_agent.errors import ConfigRefused
from pilotage_agent.state_dir import StateDir


def demands_of(config: AgentConfig) -> Demands:
    """Return what a host with these settings asks for.

    Raises ConfigRefused where nobody could ever fulfil it: too few keys, or a file of keys that cannot be read.
    """
    file = config.approvers or StateDir(config.state_dir).approvers
    required = config.approvers is not None
    try:
        keys = checked_approvers(file, required=required)
    except (OSError, ValueError) as error:
        raise ConfigRefused(f"the approvers of this host cannot be read: {file}: {error}") from error
    if config.require_signed_plans and not keys:
        raise ConfigRefused(
            "require_signed_plans is set, but no approver's key is pinned here: pilotage-agent approver add FILE.pub"
        )
    if keys and len(keys) < config.approver_quorum:
        raise ConfigRefused(
            f"approver_quorum is {config.approver_quorum}, but {len(keys)} approvers' keys are pinned here: add more ("
            "pilotage-agent approver add FILE.pub), or ask for fewer signatures"
        )
    return Demands(
        keys=lambda: read_approvers(file, required=required or bool(keys)),
        everything=config.require_signed_plans,
        quorum=config.approver_quorum,
        most_hours=config.approval_max_age_hours,
        unsigned=config.unsigned,
        run_time_values=config.run_time_values,
    )


def in_words(demands: Demands) -> str:
    """Return what is asked for, for people."""
    count = len(demands.keys())
    if not count:
        return "not asked for: pin approvers with `pilotage-agent approver add FILE.pub`"
    steps = "every step" if demands.everything else "destructive steps"
    return f"{steps} need the signatures of {demands.quorum} of {count} pinned approvers"
