"""The ceiling of idle agents: bare grpc.aio streams with mutual TLS and a heartbeat, and no code of Pilotage.

`python -m tests.benchmarks.bare_idle serve FOLDER` takes streams and reads what comes; `... agents FOLDER PORT NUMBER
SECONDS` holds so many streams, each with a heartbeat every SECONDS, and prints `open` once all of them are.
"""

import asyncio
import random
import sys
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import uvloop

from tests.benchmarks.certificates import NAME, credentials_of

METHOD = "/bare.Fleet/Idle"
DIALS_AT_ONCE = 20
HEARTBEAT = b"h" * 40
"""As long as Pilotage's own."""


async def serve(folder: Path) -> None:
    """Serve until killed; prints the port."""

    async def session(_: Any, context: Any) -> None:
        await context.write(HEARTBEAT)
        while await context.read() is not grpc.aio.EOF:
            pass

    server = grpc.aio.server()
    handler: Any = grpc.stream_stream_rpc_method_handler(session)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bare.Fleet", {"Idle": handler}),))
    key, chain, authority = credentials_of(folder, "server")
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(key, chain)], authority, True))
    await server.start()
    print(port, flush=True)
    await asyncio.Event().wait()


async def be_agents(folder: Path, port: int, number: int, seconds: float) -> None:
    """Hold the streams until killed."""
    key, chain, authority = credentials_of(folder, "agent")
    credentials = grpc.ssl_channel_credentials(authority, key, chain)
    options = (("grpc.ssl_target_name_override", NAME), ("grpc.use_local_subchannel_pool", 1))
    room = asyncio.Semaphore(DIALS_AT_ONCE)
    left = number
    all_open = asyncio.Event()

    async def agent() -> None:
        nonlocal left
        async with room:
            channel = grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials, options=options)
            call: Any = channel.stream_stream(METHOD)()
            await call.read()
        left -= 1
        if not left:
            all_open.set()
        await asyncio.sleep(random.random() * seconds)
        while True:
            await call.write(HEARTBEAT)
            await asyncio.sleep(seconds)

    agents = [asyncio.create_task(agent()) for _ in range(number)]
    await all_open.wait()
    print("open", flush=True)
    await asyncio.gather(*agents)


def main(arguments: list[str]) -> None:
    """Be one side."""
    if arguments[0] == "serve":
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(Path(arguments[1])))
    else:
        folder, port, number, seconds = arguments[1:]
        asyncio.run(be_agents(Path(folder), int(port), int(number), float(seconds)))


if __name__ == "__main__":
    main(sys.argv[1:])
