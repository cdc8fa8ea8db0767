"""Which profiles of a project are switched on: its containers do not say, so it is read off its services."""

import json
from collections.abc import Iterable, Mapping, Sequence

from pilotage_plugin_api import StepContext, StepError

from pilotage_plugins.compose.program import Compose
from pilotage_plugins.compose.standing import Standing


async def profiles_of(ctx: StepContext, socket: str, now: Standing) -> tuple[str, ...] | None:
    """Return the profiles under which the project has the services that it has; None, which the log explains, when
    Compose cannot read its files any more."""
    compose = Compose(ctx, socket, now.directory, now.project, now.files, profiles=("*",))
    try:
        # What variables stand for is not needed, and not known here.
        told = await compose.read(
            f"reading the profiles of {now.project}", "config", "--no-interpolate", "--format=json", env={}
        )
        services = dict(json.loads(told)["services"])
    except (StepError, ValueError, KeyError, TypeError) as error:
        ctx.log(f"which profiles {now.project} has switched on is not known: {error}")
        return None
    return switched_on({name: each.get("profiles") or () for name, each in services.items()}, now.services)


def switched_on(profiles: Mapping[str, Sequence[str]], standing: Iterable[str]) -> tuple[str, ...]:
    """Return the profiles that bring about the services that stand: those of which nothing is missing, and the first of
    a service's own where none of them is whole. `profiles` are those of each service of the file."""
    there = set(standing)
    names = {profile for each in profiles.values() for profile in each}
    whole = {name for name in names if all(service in there for service, each in profiles.items() if name in each)}
    alone = {
        each[0] for service, each in profiles.items() if each and service in there and not whole.intersection(each)
    }
    return tuple(sorted(whole | alone))
