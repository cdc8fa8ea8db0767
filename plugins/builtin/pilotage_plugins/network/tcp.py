"""`tcp.check`: does a port answer?"""

import asyncio
from datetime import timedelta
from typing import Annotated

from pilotage_plugin_api import (
    Duration,
    Effect,
    InfrastructureFailed,
    StepContext,
    StepFailed,
    StepOutputs,
    StepParams,
    StepType,
)
from pydantic import Field, StringConstraints

READ_LIMIT = 4096

_LABEL = r"[A-Za-z0-9_-]{1,63}"
_IP_V6 = r"[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(?:%[A-Za-z0-9_.-]+)?"

HostName = Annotated[str, StringConstraints(pattern=rf"^(?:{_LABEL}(?:\.{_LABEL})*\.?|{_IP_V6})$", max_length=253)]
"""A name of labels between dots, or an IP address, with a zone where it has one."""


class TcpCheckParams(StepParams):
    """Where to connect, and what must be said there."""

    address: HostName = Field(description="A name or an IP address")
    port: int = Field(ge=1, le=65535)
    send: str | None = Field(None, max_length=1000, description="A text to send first")
    contains: str | None = Field(
        None, max_length=1000, description="Text that must come in the first 4 KiB: SSH-2.0, +PONG"
    )
    open: bool = Field(True, description="false: the port must refuse connections (something is down, or closed off)")
    timeout: Duration = Field(timedelta(seconds=5), description="For all of it")


class TcpCheckOutputs(StepOutputs):
    """How it answered. `said` is what came first, written by a stranger."""

    open: bool
    seconds: float
    said: str


class TcpCheck(StepType[TcpCheckParams, TcpCheckOutputs]):
    """Connect to a port and, if wanted, check what is said there.

    A connection that cannot be made is a failure of kind infrastructure; a wrong answer, or a port that is open and
    should not be, is of kind step.
    """

    name = "tcp.check"
    effect = Effect.READ
    Params = TcpCheckParams
    Outputs = TcpCheckOutputs

    async def run(self, ctx: StepContext, params: TcpCheckParams) -> TcpCheckOutputs:
        """Connect once."""
        started, where = ctx.clock(), f"{params.address} port {params.port}"
        try:
            async with asyncio.timeout(params.timeout.total_seconds()):
                said = await _ask(params)
        except (OSError, TimeoutError) as error:
            if not params.open:
                return TcpCheckOutputs(open=False, seconds=round(ctx.clock() - started, 4), said="")
            late = f"no answer within {params.timeout}"
            why = late if isinstance(error, TimeoutError) else error.strerror or str(error)
            raise InfrastructureFailed(f"{where}: {why}") from error
        if not params.open:
            raise StepFailed(f"{where} takes connections, and should not")
        if params.contains is not None and params.contains.encode() not in said:
            raise StepFailed(f"{where} said {said[:200]!r}, without {params.contains[:200]!r}")
        return TcpCheckOutputs(
            open=True, seconds=round(ctx.clock() - started, 4), said=said[:1000].decode("utf-8", "replace")
        )


async def _ask(params: TcpCheckParams) -> bytes:
    """Connect, send, and read until the wanted text has come or nothing more does; raises OSError, TimeoutError."""
    reader, writer = await asyncio.open_connection(params.address, params.port)
    try:
        if params.send is not None:
            writer.write(params.send.encode())
            await writer.drain()
        said = b""
        wanted = (params.contains or "").encode()
        while wanted not in said and len(said) < READ_LIMIT and (chunk := await reader.read(READ_LIMIT - len(said))):
            said += chunk
        return said
    finally:
        writer.transport.abort()
