"""The options by which a role, or the use of a secret, is limited to some things."""

from typing import Annotated, Any

import typer

BlueprintOption = Annotated[
    list[str] | None,
    typer.Option("--blueprint", "-b", metavar="ID", help="Only stored blueprints of this id or pattern; repeatable."),
]
CategoryOption = Annotated[
    list[str] | None,
    typer.Option("--category", metavar="NAME", help="Only stored blueprints of this category; repeatable."),
]
EnvironmentOption = Annotated[
    list[str] | None,
    typer.Option("--environment", "-e", metavar="NAME", help="Only hosts of this environment; repeatable."),
]
HostsOption = Annotated[
    str,
    typer.Option("--limit", "-l", metavar="SELECTOR", help="Only these hosts: role=db, env!=prod."),
]


def limits(
    blueprint: list[str] | None, category: list[str] | None, environment: list[str] | None, hosts: str
) -> dict[str, Any]:
    """Return the limits as the API takes them, those that are not set left empty."""
    return {
        "blueprints": blueprint or [],
        "categories": category or [],
        "environments": environment or [],
        "hosts": hosts,
    }
