"""Operations on blueprints: look, check, add."""

from difflib import get_close_matches
from typing import Annotated

from pydantic import Field, StringConstraints

from pilotage_coordinator.domain.access.scope import Subject
from pilotage_coordinator.domain.blueprint.model import Blueprint, Parameter, Step
from pilotage_coordinator.service.caller import Caller
from pilotage_coordinator.service.errors import NotFound
from pilotage_coordinator.service.services import Services
from pilotage_coordinator.service.subjects import require
from pilotage_coordinator.service.verb import allowed, verb
from pilotage_coordinator.service.wire import Answer, Name, Page, PageRequest, Request, rfc3339
from pilotage_coordinator.store import errors as store_errors
from pilotage_coordinator.store.records import BlueprintRecord

LARGEST_SOURCE = 1 << 20
"""A blueprint file holds at most 1 MiB of text (ARCHITECTURE: limits)."""

Source = Annotated[str, StringConstraints(max_length=LARGEST_SOURCE)]
FileName = Annotated[str, StringConstraints(max_length=1000)]


class ListBlueprints(PageRequest):
    """Ask for the newest version of every blueprint."""


class ShowBlueprint(Request):
    """Ask for one: `id`, `id@1` (newest of a major) or `id@1.2.0`."""

    blueprint: Name

    def subject(self) -> str:
        return f"blueprint {self.blueprint}"


class BlueprintFile(Request):
    """A blueprint file's text; `file` is its name in messages."""

    source: Source
    file: FileName = "<request>"

    def subject(self) -> str:
        return self.file


class BlueprintSummary(Answer):
    """A blueprint in a list."""

    id: str
    version: str
    name: str
    description: str
    digest: str
    added_at: str
    added_by: str


class ParameterAnswer(Answer):
    """A parameter that a blueprint asks for."""

    name: str
    type: str
    required: bool
    default: object = None
    description: str = ""
    choices: list[object] = Field(default_factory=list)
    choices_from: str = ""
    """The step type with which hosts are asked for the choices; empty where they are not."""
    sensitive: bool = False


class StepOutline(Answer):
    """A step, as deep as the graph goes."""

    id: str
    name: str
    kind: str
    type: str = ""
    calls: str = ""
    dependencies: list[str] = Field(default_factory=list)
    steps: list["StepOutline"] = Field(default_factory=list)


class BlueprintDetail(BlueprintSummary):
    """One blueprint, whole."""

    category: str
    tags: list[str]
    owner: str
    documentation: str
    versions: list[str]
    parameters: list[ParameterAnswer]
    steps: list[StepOutline]
    finally_steps: list[StepOutline]
    source: str


class ValidatedBlueprint(Answer):
    """A blueprint that holds; `expanded` is its normalised form as YAML."""

    id: str
    version: str
    name: str
    steps: int
    expanded: str


class Validated(Answer):
    """Every blueprint of a file."""

    items: list[ValidatedBlueprint]


class Added(Answer):
    """What a file brought into the library."""

    items: list[BlueprintSummary]


@verb("blueprint.list")
async def list_blueprints(services: Services, caller: Caller, request: ListBlueprints) -> Page[BlueprintSummary]:
    """List the newest version of every stored blueprint."""
    rows = [
        row
        for row in await services.store.blueprints.list()
        if row.id > request.cursor and await _seen(services, caller, row.id, row.version)
    ]
    shown = rows[: request.limit]
    items = [
        BlueprintSummary(
            id=row.id,
            version=row.version,
            name=row.name or row.id,
            description=row.description,
            digest=row.digest,
            added_at=rfc3339(row.added_at),
            added_by=row.added_by,
        )
        for row in shown
    ]
    return Page(items=items, next=shown[-1].id if len(rows) > len(shown) else "")


@verb("blueprint.show")
async def show_blueprint(services: Services, caller: Caller, request: ShowBlueprint) -> BlueprintDetail:
    """Show one blueprint: its parameters, steps and source."""
    record = await find(services, caller, request.blueprint)
    # As it was stored: what hosts offer today decides whether it can be planned, not whether it can be looked at.
    blueprint = (await services.library.get(record.id, record.version)).blueprint
    return BlueprintDetail(
        **_summary(record, blueprint).model_dump(),
        category=blueprint.category,
        tags=list(blueprint.tags),
        owner=blueprint.owner,
        documentation=blueprint.documentation,
        versions=list(await services.store.blueprints.versions(record.id)),
        parameters=[_parameter(each) for each in blueprint.parameters.values()],
        steps=[_outline(each) for each in blueprint.steps],
        finally_steps=[_outline(each) for each in blueprint.finally_],
        source=record.source,
    )


@verb("blueprint.validate")
async def validate_blueprint(services: Services, caller: Caller, request: BlueprintFile) -> Validated:
    """Check a file against the language and the step types known here; store nothing."""
    blueprints = await services.library.read(request.source, request.file)
    return Validated(
        items=[
            ValidatedBlueprint(
                id=each.id,
                version=each.version,
                name=each.name or each.id,
                steps=sum(1 for _ in each.all_steps()),
                expanded=await services.library.expand(each),
            )
            for each in blueprints
        ]
    )


@verb("blueprint.add")
async def add_blueprint(services: Services, caller: Caller, request: BlueprintFile) -> Added:
    """Store every blueprint of a file; a stored version never changes."""
    if not caller.unlimited("blueprint.write"):
        for each in await services.library.read(request.source, request.file):
            await _may_write(services, caller, each)
    audit = allowed(services, caller, "blueprint.add", request.subject())
    records = await services.library.add(request.source, request.file, added_by=caller.principal, audit=audit)
    blueprints = {each.id: each for each in await services.library.read(request.source, request.file)}
    return Added(items=[_summary(each, blueprints[each.id]) for each in records])


async def find(services: Services, caller: Caller, reference: str) -> BlueprintRecord:
    """Return the stored blueprint that `id`, `id@1` or `id@1.2.0` names; raise NotFound."""
    blueprint_id, _, version = reference.partition("@")
    try:
        if version and not version.isdecimal():
            return await services.store.blueprints.get(blueprint_id, version)
        return await services.store.blueprints.newest(blueprint_id, int(version) if version else None, drafts=True)
    except store_errors.NotFound as error:
        versions = await services.store.blueprints.versions(blueprint_id)
        if versions:
            listed = ", ".join(versions[:10])
            raise NotFound(f"blueprint {blueprint_id} has no version {version}", fix=f"choose of: {listed}") from error
        raise await unknown(services, caller, blueprint_id) from error


async def unknown(services: Services, caller: Caller, blueprint_id: str) -> NotFound:
    """Return the refusal for a blueprint that is not stored, with the nearest one that the caller may see."""
    stored = await services.store.blueprints.list()
    known = [each.id for each in stored if await _seen(services, caller, each.id, each.version)]
    near = get_close_matches(blueprint_id, known, n=1)
    return NotFound(
        f"no blueprint {blueprint_id} is stored here",
        fix=f"did you mean `{near[0]}`?"
        if near
        else "`pilotage blueprint list` shows what is stored; `pilotage blueprint add FILE` adds one",
    )


async def _seen(services: Services, caller: Caller, id: str, version: str) -> bool:
    return await services.subjects.sees_blueprint(caller, "blueprint.read", id, version)


async def _may_write(services: Services, caller: Caller, blueprint: Blueprint) -> None:
    """Raise Denied unless the blueprint lies within the caller's limits: as it will be, and as it is stored now.

    Else somebody who may write one category could take over another's blueprint with a version that changes sides.
    """
    what = f"blueprint {blueprint.id}"
    stored = await services.store.blueprints.versions(blueprint.id)
    for subject in (
        Subject(blueprint.id, blueprint.category),
        *[await services.subjects.of_blueprint(f"{blueprint.id}@{version}") for version in stored],
    ):
        require(caller, "blueprint.add", "blueprint.write", subject, what)


def _summary(record: BlueprintRecord, blueprint: Blueprint) -> BlueprintSummary:
    return BlueprintSummary(
        id=record.id,
        version=record.version,
        name=blueprint.name or record.id,
        description=blueprint.description,
        digest=record.digest,
        added_at=rfc3339(record.added_at),
        added_by=record.added_by,
    )


def _parameter(parameter: Parameter) -> ParameterAnswer:
    return ParameterAnswer(
        name=parameter.name,
        type=parameter.type.value,
        required=parameter.required and not parameter.has_default,
        default=None if parameter.sensitive else parameter.default,
        description=parameter.description,
        choices=list(parameter.choices),
        choices_from=parameter.choices_from.type if parameter.choices_from is not None else "",
        sensitive=parameter.sensitive,
    )


def _outline(step: Step) -> StepOutline:
    return StepOutline(
        id=step.id,
        name=step.name or step.id,
        kind=step.kind.value,
        type=step.type,
        calls=str(step.call or ""),
        dependencies=list(step.dependencies),
        steps=[_outline(each) for each in step.steps],
    )
