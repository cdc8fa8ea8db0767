"""The settings of an issuer of identity tokens, `[oidc]`: read strictly, for a mistake here would let somebody in."""

from collections.abc import Mapping
from typing import Any, Final

from pilotage_coordinator.domain.access.issuer import ALGORITHMS, Issuer
from pilotage_coordinator.domain.access.role import OWNER
from pilotage_coordinator.domain.channel import wrong_url

_KNOWN: Final = (
    "issuer", "audience", "principal_claim", "principals", "groups_claim", "roles", "algorithms", "keys_url", "leeway",
    "ca_file",
)  # fmt: skip
MOST_LEEWAY: Final = 120
_SECOND: Final = 1_000_000


def read_issuer(value: Any) -> Issuer | None:
    """Return the issuer that a settings file names; raises ValueError, which says what is wrong."""
    if not isinstance(value, dict):
        raise ValueError("a table is needed: [oidc]")
    if unknown := sorted(value.keys() - set(_KNOWN)):
        raise ValueError(f"there is no `{unknown[0]}`; there are {', '.join(_KNOWN)}")
    issuer, keys = _text(value, "issuer", needed=True), _text(value, "keys_url")
    for name, url in (("issuer", issuer), ("keys_url", keys)):
        if url and (wrong := wrong_url(url)):
            raise ValueError(f"`{name}`: {wrong}")
    roles, groups = _names(value, "roles"), _text(value, "groups_claim")
    if bool(roles) != bool(groups):
        raise ValueError("`groups_claim` and `roles` belong together: give both, or neither")
    if OWNER in roles.values():
        raise ValueError("`roles`: no group makes somebody an owner; give that role to a principal here")
    return Issuer(
        issuer,
        _text(value, "audience", needed=True),
        _text(value, "principal_claim") or "sub",
        _names(value, "principals"),
        groups,
        roles,
        _algorithms(value),
        keys,
        _leeway(value),
        _text(value, "ca_file"),
    )


def _text(value: Mapping[str, Any], name: str, *, needed: bool = False) -> str:
    found = value.get(name, "")
    if not isinstance(found, str) or (needed and not found):
        raise ValueError(f"`{name}` is needed, a text" if needed else f"`{name}` must be a text")
    return found


def _names(value: Mapping[str, Any], name: str) -> Mapping[str, str]:
    found = value.get(name, {})
    if not isinstance(found, dict) or not all(isinstance(each, str) and each for each in found.values()):
        raise ValueError(f'`{name}` must be a table of texts, such as {{ "operators" = "operator" }}')
    return found


def _algorithms(value: Mapping[str, Any]) -> tuple[str, ...]:
    found = value.get("algorithms")
    if found is None:
        return Issuer("", "").algorithms
    if not isinstance(found, list) or not found or not set(found) <= set(ALGORITHMS):
        raise ValueError(f"`algorithms` must be some of {', '.join(ALGORITHMS)}")
    return tuple(found)


def _leeway(value: Mapping[str, Any]) -> int:
    found = value.get("leeway", 30)
    if not isinstance(found, int) or isinstance(found, bool) or not 0 <= found <= MOST_LEEWAY:
        raise ValueError(f"`leeway` must be seconds from 0 to {MOST_LEEWAY}")
    return found * _SECOND
