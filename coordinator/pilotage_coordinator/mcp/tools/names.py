"""Who somebody says they are in an argument: the caller, a role that the caller holds, or nobody."""

from pilotage_coordinator.mcp.tool import Call
from pilotage_coordinator.service.errors import Denied


def refuse_other_names(call: Call, argument: str, name: str) -> None:
    """Raise Denied when somebody else is named: who asks is proved by the credential, never by an argument."""
    if name and name != call.caller.principal and name not in call.caller.roles:
        raise Denied(
            f"`{argument}` is {call.caller.principal}, or a role that you hold ({', '.join(call.caller.roles)})",
            fix="leave it out: who asks is known from your credential",
        )
