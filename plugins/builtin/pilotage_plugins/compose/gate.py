"""Whether a whole project is well: each service by its own check, and who is to blame when one is not."""

import asyncio
from collections.abc import Awaitable, Iterable, Mapping
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Self

from pilotage_plugin_api import Duration, Refused, StepContext, StepError, StepFailed, StepParams, TargetFailed
from pydantic import Field, model_validator

from pilotage_plugins.compose.definition import Definition, Service
from pilotage_plugins.compose.project import ServiceName
from pilotage_plugins.compose.standing import Member, Standing
from pilotage_plugins.container.health import HealthCheck, HttpCheck, TcpCheck, wait_until_healthy

if TYPE_CHECKING:
    from pilotage_plugins.container.engine import Engine


class ServiceCheck(StepParams):
    """What counts as healthy for one service: `docker`, `http`, `tcp`, `command`, `none`, or `ends` for a job."""

    docker: bool = Field(False, description="Ask Docker's health check of its containers")
    http: HttpCheck | None = None
    tcp: TcpCheck | None = None
    command: tuple[str, ...] | None = Field(None, min_length=1, description="Program in it that ends with 0")
    none: bool = Field(False, description="Check nothing but that it keeps running")
    ends: bool = Field(False, description="It is a job: it must end, with exit code 0")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        kinds = (self.docker, self.http, self.tcp, self.command, self.none, self.ends)
        if sum(bool(kind) for kind in kinds) != 1:
            raise ValueError("give one of docker, http, tcp, command, none, ends")
        return self


class Unchecked(StrEnum):
    """What becomes of services that have no health check."""

    REFUSE = "refuse"
    RUN = "run"


class GateParams(StepParams):
    """When the services of a project count as healthy."""

    health: dict[ServiceName, ServiceCheck] = Field(
        default_factory=dict,
        description="Checks by service. Without one, Docker's own health check is asked, and a service that has none is"
        " refused: that nobody checks must be said, by {none: true}",
    )
    unchecked: Unchecked = Field(
        Unchecked.REFUSE,
        description="What becomes of services that nobody checks: refuse; or run: they must only keep running, and"
        " stand in the output `unchecked`",
    )
    min_healthy_time: Duration = Field(timedelta(seconds=10), description="So long every service must stay healthy")
    healthy_deadline: Duration = Field(timedelta(minutes=5), description="Give up after this long; jobs, too")
    every: Duration = Field(timedelta(seconds=1), description="Pause between two checks; at least 50ms")

    @model_validator(mode="after")
    def _times_fit(self) -> Self:
        self.check_of(None)
        return self

    def check_of(self, chosen: ServiceCheck | None) -> HealthCheck:
        """Return the check of each container of a service that is no job; raises ValueError for times that do not fit
        together."""
        kind = {} if chosen is None else chosen.model_dump(exclude={"ends"}, exclude_defaults=True)
        times = {name: getattr(self, name) for name in ("min_healthy_time", "healthy_deadline", "every")}
        return HealthCheck.model_validate({**kind, **times})


async def checks_of(engine: "Engine", wanted: Definition, params: GateParams) -> dict[str, ServiceCheck]:
    """Decide for each service how it is checked; its image must be on the host.

    Raises Refused for a check of a service that does not exist, TargetFailed for services that nobody would check.
    """
    if unknown := sorted(params.health.keys() - wanted.services.keys()):
        raise Refused(
            f"health: the project {wanted.project} has no service {', '.join(unknown)};"
            f" it has {', '.join(wanted.services)}"
        )
    checks = {name: await _check_of(engine, service, params) for name, service in wanted.services.items()}
    if unchecked := [name for name, check in checks.items() if check is None]:
        raise TargetFailed(
            f"{', '.join(unchecked)} of {wanted.project} has no health check: give one in `health` by service (http,"
            " tcp, command), say {ends: true} for a job, or {none: true} if nobody is to check it; unchecked: run says"
            " it of all"
        )
    return {name: check for name, check in checks.items() if check is not None}


async def _check_of(engine: "Engine", service: Service, params: GateParams) -> ServiceCheck | None:
    if chosen := params.health.get(service.name):
        return chosen
    if service.job:
        return ServiceCheck(ends=True)
    checked = service.checked
    if checked is None:
        image = await engine.image(service.image)
        test = ((image or {}).get("Config") or {}).get("Healthcheck") or {}
        checked = (test.get("Test") or ["NONE"])[0] != "NONE"
    if checked:
        return ServiceCheck(docker=True)
    return ServiceCheck(none=True) if params.unchecked is Unchecked.RUN else None


async def wait_for_all(
    ctx: StepContext, engine: "Engine", now: Standing, params: GateParams, checks: Mapping[str, ServiceCheck]
) -> None:
    """Return once every container of these services is healthy; raises StepFailed that names the first that is not."""
    await _together(
        _named(one, _wait(ctx, engine, one, params, checks[one.service]))
        for one in now.members
        if one.service in checks
    )


async def _wait(ctx: StepContext, engine: "Engine", one: Member, params: GateParams, check: ServiceCheck) -> None:
    if not check.ends:
        await wait_until_healthy(ctx, engine, one.id, params.check_of(check))
        return
    give_up = ctx.clock() + params.healthy_deadline.total_seconds()
    while (found := await engine.inspect(one.id))["State"]["Running"]:
        if ctx.clock() >= give_up:
            raise StepFailed(f"{one.name} is a job and did not end within {params.healthy_deadline}")
        await ctx.sleep(params.every.total_seconds())
    if found["State"]["ExitCode"] != 0:
        await _must_be_well(ctx, engine, one, docker=False)


async def whose_fault(ctx: StepContext, engine: "Engine", now: Standing, wanted: Definition) -> str:
    """Say which services of a project that did not come up are not well, and why; empty when all are."""
    problems = []
    for one in now.members:
        found = await engine.find(one.id)
        if found is None or one.service not in wanted.services:
            continue
        state = found["State"]
        ended_well = state["Status"] == "exited" and state["ExitCode"] == 0
        if ended_well or (state["Status"] == "created" and not state.get("Error")):
            continue
        try:
            await _must_be_well(ctx, engine, one, docker=(state.get("Health") or {}).get("Status") == "unhealthy")
        except StepError as error:
            problems.append(f"{one.service}: {error}")
    return "; ".join(problems)


async def _must_be_well(ctx: StepContext, engine: "Engine", one: Member, *, docker: bool) -> None:
    """Raise the StepFailed that says why a container is dead or unhealthy now, with its last words."""
    at_once = HealthCheck(docker=docker, none=not docker, min_healthy_time=timedelta(0), healthy_deadline=timedelta(0))
    await wait_until_healthy(ctx, engine, one.id, at_once)


async def _named(one: Member, waiting: Awaitable[None]) -> None:
    try:
        await waiting
    except StepError as error:
        raise type(error)(f"the service {one.service} is not well: {error}") from error


async def _together(waits: Iterable[Awaitable[None]]) -> None:
    """Wait for all; the first failure ends the others."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
