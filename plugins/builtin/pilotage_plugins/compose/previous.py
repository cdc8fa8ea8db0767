"""What was there before: which configuration a project's containers were made from, as far as that can be known."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pilotage_plugin_api import SecretRef, StepError, TargetFailed

from pilotage_plugins.compose.definition import resolve
from pilotage_plugins.compose.program import Compose
from pilotage_plugins.compose.project import Value
from pilotage_plugins.compose.record import Begun, Configuration, begun_by, found, is_of, known_of, note_begin
from pilotage_plugins.compose.site import Site
from pilotage_plugins.compose.standing import Standing


async def begin(
    site: Site, now: Standing, images: Mapping[str, str], *, keep_previous: bool, orphans_go: bool
) -> Begun:
    """Note what is there before anything is changed, unless an earlier attempt of this step run did; returns the note.
    `images` is what is to be brought up, by reference.

    Raises TargetFailed when there would be no way back and one is wanted.
    """
    if noted := await begun_by(site.ctx.step_run):
        return noted
    previous, unknown = await before_up(site, now, orphans_go=orphans_go)
    if unknown and keep_previous:
        raise TargetFailed(
            f"there would be no way back for {now.project}: {unknown}. Bring it up once as it is, so that it is known,"
            " or say keep_previous: false"
        )
    begun = Begun(
        project=now.project,
        previous=previous,
        unknown=unknown,
        services=found(now),
        wanted=list(site.wanted.services),
        networks=[name for name in site.wanted.networks if await site.engine.network(name) is None],
        volumes=[name for name in site.wanted.volumes if await site.engine.volume(name) is None],
        images=dict(images),
    )
    await note_begin(site.ctx.step_run, begun)
    return begun


async def before_up(site: Site, now: Standing, *, orphans_go: bool) -> tuple[Configuration | None, str]:
    """Return what `before` does, for a project that was read; what is to be removed must be known, too."""
    wanted = Configuration.of(site.wanted)
    previous, unknown = await before(site.compose, now, site.params.env, site.env, candidates=[wanted])
    if previous is None or not orphans_go:
        return previous, unknown
    orphans = [name for name in now.services if name not in site.wanted.services]
    if strange := [name for name in orphans if name not in previous.references]:
        return None, f"nobody knows what {', '.join(strange)} was made from, and it is to be removed"
    return previous, ""


async def before(
    compose: Compose,
    now: Standing,
    variables: Mapping[str, Value],
    env: Mapping[str, str],
    candidates: Sequence[Configuration] = (),
) -> tuple[Configuration | None, str]:
    """Return the configuration that the project's containers were made from, with the images that they have.

    Asked are the candidates, what was noted, and the files that the containers name, if they are still the same.
    None with a reason when nobody knows it, or it needs a secret that `variables` does not name; None without one when
    there is no such project.
    """
    if not now.members:
        return None, ""
    known = [*candidates, *await known_of(compose.socket, now.project)]
    previous = next((one for one in known if is_of(now, one.hashes)), None) or await _from_files(
        compose, now, variables, env
    )
    if previous is None:
        return None, "it was not brought up by Pilotage, and its files or their variables have changed since"
    given = {str(value) for value in variables.values() if isinstance(value, SecretRef)}
    if lost := sorted(set(previous.secrets.values()) - given):
        return None, f"it was made with {', '.join(lost)}, which this step is not given (env)"
    return previous.as_it_stands(now), ""


async def _from_files(
    compose: Compose, now: Standing, variables: Mapping[str, Value], env: Mapping[str, str]
) -> Configuration | None:
    if not now.files or not all(Path(path).is_absolute() for path in now.files):
        return None
    there = replace(compose, directory=now.directory, project=now.project, files=now.files)
    try:
        read, _ = await resolve(there, variables, env, None)
    except StepError:
        return None
    return Configuration.of(read) if is_of(now, read.hashes) else None
