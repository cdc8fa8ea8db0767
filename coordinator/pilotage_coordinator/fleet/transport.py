"""What carries one session: gRPC in the server, a simulated network in tests."""

from collections.abc import Sequence
from typing import Protocol

from pilotage_proto.v1 import fleet_pb2 as pb


class Transport(Protocol):
    """One bidirectional stream. One task receives, another sends; neither is called twice at the same time.

    Both wait as flow control demands, may be cancelled, and raise TransportLost when the stream is gone.
    """

    async def receive(self) -> Sequence[pb.AgentItem] | None:
        """Return the items of the next message, or None once the agent has ended the stream.

        Raises BadMessage for what is no message.
        """
        ...

    async def send(self, items: Sequence[pb.CoordinatorItem]) -> None:
        """Send one message with these items."""
        ...
