"""Idle agents as the coordinator sees them: one mutual TLS stream each, Hello, an empty journal, and heartbeats.

`python -m tests.benchmarks.idle_streams STATE_DIR...` in one process; agents' own memory is measured elsewhere.
"""

import asyncio
import json
import os
import random
import signal
import sys
import uuid
from pathlib import Path

from pilotage_agent.agent import microseconds
from pilotage_agent.catalogue import probe_catalogue
from pilotage_agent.facts import gather_facts
from pilotage_agent.identity import load_identity
from pilotage_agent.link.channel import fleet_channel
from pilotage_agent.link.grpc_transport import GrpcTransport
from pilotage_agent.messages import Heartbeat, Hello, Inventory, JournalPage, Welcome
from pilotage_agent.runner.process import boot_id
from pilotage_agent.state_dir import StateDir

DIALS_AT_ONCE = 20


async def live(state: StateDir, inventory: Inventory, room: asyncio.Semaphore) -> None:
    """Hold one session."""
    identity = load_identity(state.identity)
    address = identity.enrolment.fleet_address
    async with room:
        transport = await GrpcTransport.open(fleet_channel(address, identity), address)
        hello = Hello(
            agent_version="benchmark", instance_id=uuid.uuid4().hex, journal_id=uuid.uuid4().hex, journal_sequence=1,
            session_counter=1, highest_epoch=0, boot_id=boot_id(), clock=microseconds(), slots=32,
            inventory=inventory, protocol_min=1, protocol_max=1,
        )  # fmt: skip
        await transport.send([hello, JournalPage((), complete=True)])
        first, *_ = await transport.receive()
    assert isinstance(first, Welcome), first
    listening = asyncio.create_task(_listen(transport))
    await asyncio.sleep(random.random() * first.heartbeat_seconds)
    while not listening.done():
        await transport.send([Heartbeat(microseconds(), "", 0, 0)])
        await asyncio.sleep(first.heartbeat_seconds)
    await listening


async def _listen(transport: GrpcTransport) -> None:
    while True:
        await transport.receive()


async def main(folders: list[str]) -> None:
    """Be all of them until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    catalogue = await probe_catalogue(os.environ)
    facts = json.dumps(gather_facts(Path(folders[0]))).encode()
    inventory = Inventory(facts, catalogue.step_types, catalogue.quarantined)
    room = asyncio.Semaphore(DIALS_AT_ONCE)
    agents = [asyncio.create_task(live(StateDir(Path(each)), inventory, room)) for each in folders]
    stopped = asyncio.create_task(stop.wait())
    done, _ = await asyncio.wait([*agents, stopped], return_when=asyncio.FIRST_COMPLETED)
    for task in done - {stopped}:
        task.result()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
