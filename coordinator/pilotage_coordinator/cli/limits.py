"""The options by which a role is limited to some things."""

from typing import Annotated, Any

import typer

BlueprintOption = Annotated[
    list[str] | None,
    typer.Option("--blueprint", metavar="ID", help="Limit the role to blueprints of this id or pattern; repeatable."),
]
CategoryOption = Annotated[
    list[str] | None,
    typer.Option("--category", metavar="NAME", help="Limit the role to blueprints of this category; repeatable."),
]
EnvironmentOption = Annotated[
    list[str] | None,
    typer.Option("--environment", "-e", metavar="NAME", help="Limit the role to hosts of this environment; repeat it."),
]
HostsOption = Annotated[
    str,
    typer.Option("--limit", "-l", metavar="SELECTOR", help="Limit the role to hosts: role=db, env!=prod."),
]


def limits(
    blueprint: list[str] | None, category: list[str] | None, environment: list[str] | None, hosts: str
) -> dict[str, Any]:
    """Return the limits as the API takes them."""
    return {
        "blueprints": blueprint or [],
        "categories": category or [],
        "environments": environment or [],
        "hosts": hosts,
    }
