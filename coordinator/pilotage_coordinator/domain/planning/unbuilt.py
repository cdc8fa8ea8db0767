"""What the language can say and planning does not do yet: refused by name, never ignored."""

from collections.abc import Iterator

from pilotage_coordinator.domain.blueprint.model import Blueprint, Step

Refusal = tuple[str, str]
"""Message and cure."""

_LATER = "is not available yet"


def unbuilt_in_blueprint(blueprint: Blueprint, called: bool) -> Iterator[Refusal]:
    """Yield what a blueprint asks for that is not built."""
    for name, present in (
        ("locks", blueprint.locks),
        ("capacity", blueprint.capacity),
        ("windows", blueprint.windows),
        ("concurrency", blueprint.concurrency),
        ("resource_requirements", blueprint.resource_requirements),
    ):
        if present:
            yield f"`{name}` {_LATER}", "remove it"
    plan = blueprint.rollback_plan
    if called and plan is not None and plan.actions:
        yield f"rollback actions of a called blueprint: this {_LATER}", "write `undo` at the steps themselves"


def unbuilt_in_step(step: Step) -> Iterator[Refusal]:
    """Yield what a step asks for that is not built."""
    for name, present in (
        ("locks", step.locks),
        ("capacity", step.capacity),
        ("windows", step.windows),
    ):
        if present:
            yield f"`{name}` {_LATER}", "remove it"
