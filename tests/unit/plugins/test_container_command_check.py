"""A health check by a program in a container: never two at once, and an end that nobody knows is no success."""

import asyncio
from typing import Any

import pytest
from pilotage_plugin_api import StepFailed
from pilotage_plugins.container.command_check import CommandCheck
from pilotage_plugins.container.engine import Engine, Executed


class Slow:
    """An engine whose programs end when they are let."""

    def __init__(self) -> None:
        self.started = 0
        self.may_end = asyncio.Event()

    async def exec(self, name: str, argv: tuple[str, ...], on_output: Any) -> Executed:
        self.started += 1
        await self.may_end.wait()
        return Executed(0, b"", b"")


async def test_a_check_that_hangs_is_waited_for_and_not_started_again() -> None:
    engine: Any = Slow()
    async with CommandCheck(engine, "web", ("/check",)) as check:
        for _ in range(3):
            assert "is still at work" in str(await check.problem(0.01))
        assert engine.started == 1
        engine.may_end.set()
        assert "took longer" in str(await check.problem(5))
        assert await check.problem(5) is None
    assert engine.started == 2


class Docker:
    """The library's side of one program: what it says of its end, look by look."""

    def __init__(self, *looks: dict[str, Any]) -> None:
        self.containers = self
        self._looks = list(looks)

    def container(self, name: str) -> "Docker":
        return self

    async def exec(self, argv: list[str], **more: Any) -> "Docker":
        return self

    def start(self, detach: bool) -> "Docker":
        return self

    async def __aenter__(self) -> "Docker":
        return self

    async def __aexit__(self, *error: object) -> None:
        pass

    async def read_out(self) -> None:
        return None

    async def inspect(self) -> dict[str, Any]:
        return self._looks.pop(0)


async def test_a_program_that_works_on_without_output_is_waited_for() -> None:
    running, ended = {"Running": True, "ExitCode": None}, {"Running": False, "ExitCode": 3}
    docker: Any = Docker(running, running, ended)
    assert (await Engine(docker).exec("web", ("/p",), lambda stream, data: None)).exit_code == 3


async def test_an_end_that_the_engine_does_not_know_is_no_success() -> None:
    docker: Any = Docker({"Running": False, "ExitCode": None})
    with pytest.raises(StepFailed, match="does not know how it ended"):
        await Engine(docker).exec("web", ("/p",), lambda stream, data: None)
