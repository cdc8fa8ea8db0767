"""The port under a session: items out, items in, and the end."""

from collections.abc import Sequence
from typing import Protocol

from pilotage_agent.messages import AgentItem, CoordinatorItem


class Transport(Protocol):
    """One stream to a coordinator. One task sends, another receives; both raise LinkLost once it has ended."""

    async def send(self, items: Sequence[AgentItem]) -> None:
        """Send items in this order, as one message; waits while the other side does not keep up."""

    async def receive(self) -> Sequence[CoordinatorItem]:
        """Return the next message's items."""

    async def close(self) -> None:
        """End the stream; any number of times."""
