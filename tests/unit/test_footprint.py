"""What the programs import: by names, not by time, so that a heavy library is noticed when somebody adds it."""

import subprocess
import sys

import pytest

IN_PYTHON = "google.protobuf.internal.python_message"
NO_SCREEN = ("typer", "click", "rich")
NO_PLUGINS = ("pluggy", "pilotage_plugin_api", "pilotage_plugins", "pilotage_coordinator")
NO_STRANGERS = ("pilotage_plugins", "pilotage_coordinator", "pilotage_client", "structlog", "httpx")
NO_EXECUTIONS = ("pilotage_coordinator.engine", "pilotage_coordinator.runtime.executor", "immutables")
NO_PLANNER = ("cel", "pilotage_coordinator.domain.planning.planner", "pilotage_coordinator.domain.blueprint.model")
NO_FACES = ("pydantic", "pydantic_settings", "starlette", "uvicorn", "ruamel", "mcp", "httpx", "jinja2")


def imported_by(module: str) -> set[str]:
    """Return the names of all modules that a fresh process has after importing one."""
    program = f"import sys, {module}; print(*sys.modules)"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(answer.stdout.split())


@pytest.mark.parametrize(
    ("module", "without"),
    [
        (
            "pilotage_coordinator.cli.entry",
            (*NO_SCREEN, *NO_FACES, "asyncio", "grpc", "pilotage_client", "dataclasses"),
        ),
        (
            "pilotage_coordinator.program",
            (*NO_SCREEN, *NO_FACES, *NO_EXECUTIONS, *NO_PLANNER, "importlib.metadata", IN_PYTHON),
        ),
        ("pilotage_coordinator.executions", (*NO_SCREEN, *NO_FACES, *NO_PLANNER, "importlib.metadata", IN_PYTHON)),
        ("pilotage_coordinator.cli.app", (*NO_FACES, "grpc", "rich")),
        (
            "pilotage_agent.__main__",
            (*NO_SCREEN, *NO_FACES, *NO_PLUGINS, IN_PYTHON, "importlib.metadata", "structlog", "cryptography"),
        ),
        ("pilotage_agent.runner.zygote", (*NO_SCREEN, *NO_STRANGERS, "grpc", "google.protobuf", "cryptography")),
    ],
)
def test_a_program_does_not_import_what_it_has_no_use_for(module: str, without: tuple[str, ...]) -> None:
    assert imported_by(module) & set(without) == set()
