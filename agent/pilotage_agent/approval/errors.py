"""Why something is not done that people have not agreed to."""

from pilotage_agent.errors import AgentError


class Unapproved(AgentError):
    """People have not agreed to this, as far as this host can see; the text says what is missing, and the cure."""
