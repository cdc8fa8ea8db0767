"""Waiting until a container is healthy, and stays so; or finding out that it never will be."""

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final, Self

from pilotage_plugin_api import Duration, StepContext, StepError, StepFailed, StepOutputs, StepParams, TargetFailed
from pydantic import AfterValidator, Field, model_validator

from pilotage_plugins.container.command_check import CommandCheck
from pilotage_plugins.http.client import check_url, request
from pilotage_plugins.network.tcp import HostName

if TYPE_CHECKING:
    from pilotage_plugins.container.engine import Engine

LOOP_RESTARTS: Final = 3
"""So many restarts while we watch are a loop, whatever happens between them."""

CHECK_SECONDS: Final = 5.0
_LOG_LINES: Final = 8
_BODY_LIMIT: Final = 64 * 1024

Port = Annotated[int, Field(ge=1, le=65535)]


class HttpCheck(StepParams):
    """Ask over HTTP: a whole `url`, or a `port` of the container's own address."""

    url: Annotated[str, AfterValidator(check_url), Field(max_length=4096, pattern="^http://")] | None = None
    port: Port | None = None
    path: str = Field("/", pattern=r"^/[\x21-\x7e]*$", max_length=2000)
    expect: tuple[Annotated[int, Field(ge=100, le=599)], ...] = Field((200,), min_length=1)

    @model_validator(mode="after")
    def _one_address(self) -> Self:
        if (self.url is None) == (self.port is None):
            raise ValueError("give either url or port")
        return self


class TcpCheck(StepParams):
    """Connect to a `port` of the container's own address, or of `host`."""

    port: Port
    host: HostName | None = None


class HealthCheck(StepParams):
    """What counts as healthy: one of `docker`, `http`, `tcp`, `command` or `none`.

    Without any, Docker's own health check of the container is asked, and a container without one is refused: that
    nobody checks must be said, by `none: true`, and is never called healthy.
    """

    docker: bool = Field(False, description="Ask Docker's health check of the container")
    http: HttpCheck | None = None
    tcp: TcpCheck | None = None
    command: tuple[str, ...] | None = Field(
        None, min_length=1, description="Program in the container that ends with 0 when all is well"
    )
    none: bool = Field(False, description="Check nothing but that it keeps running")
    min_healthy_time: Duration = Field(timedelta(seconds=10), description="So long it must stay healthy")
    healthy_deadline: Duration = Field(timedelta(minutes=5), description="Give up after this long")
    every: Duration = Field(timedelta(seconds=1), description="Pause between two checks; at least 50ms")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        kinds = [self.docker, self.none, *(one is not None for one in (self.http, self.tcp, self.command))]
        if sum(kinds) > 1:
            raise ValueError("give only one of docker, http, tcp, command, none")
        if self.every < timedelta(milliseconds=50):
            raise ValueError("every is shorter than 50ms")
        if self.min_healthy_time > self.healthy_deadline:
            raise ValueError("min_healthy_time is longer than healthy_deadline")
        return self


class Verdict(StepOutputs):
    """`healthy` is null when nobody checked (`none: true`): it kept running, that is all that is known."""

    healthy: bool | None
    checked_by: str
    checks: int
    seconds: float


async def wait_until_healthy(ctx: StepContext, engine: "Engine", container: str, check: HealthCheck) -> Verdict:
    """Return once the container was healthy for `min_healthy_time` without a break.

    Raises StepFailed when it dies, restarts again and again, is unhealthy by Docker's check, or `healthy_deadline`
    passes; TargetFailed when it has no health check and none was given.
    """
    found = await engine.inspect(container)
    kind = kind_of(check, found)
    async with CommandCheck(engine, found["Id"], check.command or ()) as command:
        return await _wait(ctx, engine, found, check, command, kind)


async def _wait(
    ctx: StepContext, engine: "Engine", found: dict[str, Any], check: HealthCheck, command: CommandCheck, kind: str
) -> Verdict:
    started, container = ctx.clock(), found["Id"]
    restarts_before = restarts = int(found["RestartCount"])
    healthy_since: float | None = None
    checks, last = 0, "it was never checked"
    while True:
        found = await engine.inspect(container)
        await _must_live(engine, found, restarts_before)
        problem = await _problem(engine, found, check, command, kind)
        now, checks = ctx.clock(), checks + 1
        if found["RestartCount"] != restarts:
            restarts, problem = int(found["RestartCount"]), problem or "it restarted"
        if problem:
            healthy_since, last = None, problem
        elif healthy_since is None:
            healthy_since = now
        if healthy_since is not None and now - healthy_since >= check.min_healthy_time.total_seconds():
            return Verdict(
                healthy=None if kind == "none" else True,
                checked_by=kind,
                checks=checks,
                seconds=round(now - started, 3),
            )
        if now - started >= check.healthy_deadline.total_seconds():
            raise StepFailed(
                f"{_name(found)} was not healthy for {check.min_healthy_time} within {check.healthy_deadline}"
                f" ({kind} check, {checks} times): {last}{await _last_words(engine, found)}"
            )
        ctx.progress(None, problem or f"{_name(found)} is up")
        await ctx.sleep(check.every.total_seconds())


def kind_of(check: HealthCheck, found: dict[str, Any]) -> str:
    """Return who will be asked; raises TargetFailed when the container has no health check and none was given."""
    for kind in ("none", "http", "tcp", "command"):
        if getattr(check, kind):
            return kind
    test = (found["Config"].get("Healthcheck") or {}).get("Test") or []
    if not test or test[0] == "NONE":
        raise TargetFailed(
            f"the container {_name(found)} has no health check: give one (http, tcp, command), or say none: true"
        )
    return "docker"


async def _must_live(engine: "Engine", found: dict[str, Any], restarts_before: int) -> None:
    """Raise StepFailed when the container is dead, or dies again and again."""
    state = found["State"]
    restarts = int(found["RestartCount"]) - restarts_before
    why = f"exit code {state['ExitCode']}" + (", out of memory" if state["OOMKilled"] else "")
    if restarts >= LOOP_RESTARTS:
        raise StepFailed(
            f"{_name(found)} restarts again and again ({restarts} times, {why}){await _last_words(engine, found)}"
        )
    if state["Status"] in ("exited", "dead", "removing", "created"):
        error = f" {state['Error']}" if state.get("Error") else ""
        raise StepFailed(f"{_name(found)} does not run: {why}{error}{await _last_words(engine, found)}")


async def _problem(
    engine: "Engine", found: dict[str, Any], check: HealthCheck, command: CommandCheck, kind: str
) -> str | None:
    """Ask once; return what is wrong, None when nothing is. Raises StepFailed for Docker's final `unhealthy`."""
    state = found["State"]
    if state["Status"] != "running":
        return f"it is {state['Status']}"
    if kind == "command":
        return await command.problem(CHECK_SECONDS)
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            match kind:
                case "docker":
                    return await _docker(engine, found)
                case "http":
                    assert check.http
                    return await _http(found, check.http)
                case "tcp":
                    assert check.tcp
                    return await _tcp(found, check.tcp)
    except TimeoutError:
        return f"the {kind} check took longer than {CHECK_SECONDS:g} seconds"
    return None


async def _docker(engine: "Engine", found: dict[str, Any]) -> str | None:
    health = found["State"].get("Health") or {}
    status = health.get("Status")
    if status == "healthy":
        return None
    said = str((health.get("Log") or [{}])[-1].get("Output", "")).strip()[:300]
    detail = f": {said}" if said else ""
    if status == "unhealthy":
        raise StepFailed(
            f"Docker's health check says that {_name(found)} is unhealthy{detail}{await _last_words(engine, found)}"
        )
    return f"Docker's health check says {status}{detail}"


async def _http(found: dict[str, Any], check: HttpCheck) -> str | None:
    url = check.url or f"http://{_address(found)}:{check.port}{check.path}"
    try:
        answer = await request("GET", url, {}, _BODY_LIMIT, None)
    except StepError as error:
        return str(error)
    return None if answer.status in check.expect else f"{url} answered {answer.status}"


async def _tcp(found: dict[str, Any], check: TcpCheck) -> str | None:
    host = check.host or _address(found)
    try:
        _, writer = await asyncio.open_connection(host, check.port)
    except UnicodeError as error:
        return f"{host} is no name of a host: {error}"
    except OSError as error:
        return f"cannot connect to {host}:{check.port}: {error.strerror or error}"
    writer.transport.abort()
    return None


def _address(found: dict[str, Any]) -> str:
    """Return the container's own address, as its host sees it."""
    if found["HostConfig"]["NetworkMode"] == "host":
        return "127.0.0.1"
    for endpoint in (found["NetworkSettings"].get("Networks") or {}).values():
        if endpoint.get("IPAddress"):
            return str(endpoint["IPAddress"])
    raise TargetFailed(f"{_name(found)} has no address of its own: give the check a url or host")


async def _last_words(engine: "Engine", found: dict[str, Any]) -> str:
    """Return the end of the container's log, for the error; a log that cannot be read is no news."""
    try:
        lines = (await engine.logs(found["Id"], lines=_LOG_LINES)).strip()
    except StepError:
        return ""
    return f". It wrote: {' | '.join(lines.splitlines())[-800:]}" if lines else ""


def _name(found: dict[str, Any]) -> str:
    return str(found["Name"]).lstrip("/")
