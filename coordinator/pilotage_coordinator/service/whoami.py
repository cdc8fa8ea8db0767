"""The operation that tells a caller who it is, and how many persons there are to agree with each other."""

from pilotage_coordinator.domain.access.permission import OWN
from pilotage_coordinator.domain.access.principal import PrincipalKind
from pilotage_coordinator.service.caller import Caller
from pilotage_coordinator.service.principals import GrantAnswer, grant_answers, permissions_of
from pilotage_coordinator.service.services import Services
from pilotage_coordinator.service.verb import verb
from pilotage_coordinator.service.wire import Answer, Request, rfc3339


class AskWhoami(Request):
    """Ask who one is here."""


class WhoamiAnswer(Answer):
    """The caller as the coordinator sees it."""

    principal: str
    kind: str
    through: str
    """`socket` or `https`."""
    token: str
    """Id of the API token in use; empty for the owner at the coordinator's own socket."""
    token_expires_at: str
    sponsor: str
    grants: list[GrantAnswer]
    permissions: list[str]
    """What it may do, limits aside; `:own` for its own things only."""
    single_operator: bool
    """Whether there is only one person here, who then has nobody else to ask."""


@verb("whoami")
async def whoami(services: Services, caller: Caller, request: AskWhoami) -> WhoamiAnswer:
    """Tell who the caller is here, what it holds, and through what it came."""
    holder = await services.store.access.holder(caller.principal)
    return WhoamiAnswer(
        principal=caller.principal,
        kind=caller.kind.value,
        through=caller.face.value,
        token=caller.token,
        token_expires_at=rfc3339(caller.token_expires_at),
        sponsor=caller.sponsor,
        grants=grant_answers(holder),
        permissions=_permissions(caller),
        single_operator=len(await persons(services)) < 2,
    )


def _permissions(caller: Caller) -> list[str]:
    """Return what the caller may do by what it showed, limits aside."""
    held = permissions_of(caller.kind, caller.grants)
    return [each for each in held if caller.might(each.removesuffix(OWN))]


async def persons(services: Services) -> tuple[str, ...]:
    """Return the names of all persons who may act. One alone: the single-operator mode of approvals."""
    return tuple(
        row.name
        for row in await services.store.access.principals()
        if row.kind == PrincipalKind.PERSON and row.disabled_at is None
    )
