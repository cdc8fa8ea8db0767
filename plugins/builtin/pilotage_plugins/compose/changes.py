"""What bringing a project up would change: its file compared with what the engine has."""

from collections.abc import Collection, Mapping, Sequence

from pilotage_plugin_api import Action, Change, Preview

from pilotage_plugins.compose.definition import Definition, Service
from pilotage_plugins.compose.previous import before_up
from pilotage_plugins.compose.site import Site
from pilotage_plugins.compose.standing import Member, Standing

MOST_SHOWN = 900


async def preview_of(
    site: Site, now: Standing, *, asks: bool, builds: bool, recreate: Collection[str], orphans_go: bool
) -> Preview:
    """Say what would be created, recreated and removed, and whether there is a way back.

    `asks`: registries are asked even for images that are there, so that nobody knows yet what they will answer.
    """
    wanted = site.wanted
    local = {service.image: await site.engine.image(service.image) for service in wanted.services.values()}
    images = {reference: None if found is None else str(found["Id"]) for reference, found in local.items()}
    changes = [
        *[_made(f"network {name}") for name in wanted.networks if await site.engine.network(name) is None],
        *[_made(f"volume {name}") for name in wanted.volumes if await site.engine.volume(name) is None],
        *service_changes(wanted, now, images, recreate=recreate, orphans_go=orphans_go),
    ]
    _, unknown = await before_up(site, now, orphans_go=orphans_go)
    notes = [f"no way back: {unknown}"] if unknown else []
    if missing := [reference for reference, id in images.items() if id is None]:
        notes.append(f"images not on the host yet: {', '.join(missing)}")
    if asks or builds:
        notes.append("registries are asked, or images built, so that more services may change")
    return Preview(
        changes=tuple(changes[:MOST_SHOWN]), complete=not (missing or asks or builds), note="; ".join(notes)[:4000]
    )


def service_changes(
    wanted: Definition, now: Standing, images: Mapping[str, str | None], *, recreate: Collection[str], orphans_go: bool
) -> list[Change]:
    """Return what happens to each service; `images` are the local ones by reference, None for one to be pulled."""
    changes = [
        _service_change(
            f"{wanted.project}/{name}", service, now.services.get(name, ()), images.get(service.image),
            forced=name in recreate,
        )
        for name, service in wanted.services.items()
    ]  # fmt: skip
    for name, members in now.services.items():
        if name not in wanted.services:
            names = ", ".join(one.name for one in members)
            action = Action.DELETE if orphans_go else Action.NONE
            note = "the file does not name it any more" + ("" if orphans_go else ": it is left (remove_orphans: true)")
            changes.append(Change(action=action, subject=f"{wanted.project}/{name}", before=names[:4000], note=note))
    return changes


def _service_change(
    subject: str, service: Service, members: Sequence[Member], image: str | None, *, forced: bool
) -> Change:
    after = service.image if service.replicas == 1 else f"{service.image} × {service.replicas}"
    if not members:
        return Change(action=Action.CREATE, subject=subject, after=after, note="to be pulled" if image is None else "")
    reasons = []
    if any(one.hash != service.hash for one in members):
        reasons.append("its configuration changed")
    if image is not None and any(one.image_id != image for one in members):
        reasons.append("its image changed")
    if forced:
        reasons.append("asked for")
    before = f"{members[0].image} × {len(members)}" if len(members) > 1 else members[0].image
    if reasons:
        note = f"recreated: {', '.join(reasons)}"
        return Change(action=Action.UPDATE, subject=subject, before=before, after=after, note=note)
    if len(members) != service.replicas:
        return Change(action=Action.UPDATE, subject=subject, before=before, after=after, note="scaled")
    if idle := [one.name for one in members if not one.running]:
        return Change(action=Action.RUN, subject=subject, before="stopped", note=f"{', '.join(idle)} started again")
    return Change(action=Action.NONE, subject=subject, before=before)


def _made(subject: str) -> Change:
    return Change(action=Action.CREATE, subject=subject)
