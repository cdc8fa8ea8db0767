"""Permissions: what an operation asks for and what a role gives.

An operation asks for one such as `run.control`. A role gives patterns: one permission, `run.*` for all of a noun,
`*.read` for all reads, `*` for all. With `:own` at the end a pattern gives it for the caller's own things only: the
executions that it requested, its tokens, itself.
"""

import re
from collections.abc import Iterable
from typing import Final

from pilotage_coordinator.domain.access.errors import AccessRefused
from pilotage_coordinator.domain.access.principal import PrincipalKind

OWN: Final = ":own"
SELF: Final = "self.read"
"""What everybody holds: to be told who one is."""
DECIDE: Final = "approval.decide"

_PATTERN: Final = re.compile(r"(\*|[a-z_]+\.\*|\*\.read|[a-z_]+\.[a-z_]+)(:own)?")

ASSISTANTS_MOST: Final = ("*.read", "plan.make", "run.start", "run.control:own", "approval.request")
"""The most that an assistant may do, whatever role it was given: what is not named here it never may."""
PERSONS_ONLY: Final = frozenset({DECIDE})
"""What only a person may do, whatever role a service was given."""


def check_pattern(pattern: str) -> None:
    """Raise AccessRefused for a text that is no pattern of permissions."""
    if _PATTERN.fullmatch(pattern) is None:
        raise AccessRefused(
            f"{pattern[:60]!r} is no permission: write one such as run.start, run.*, *.read or *, "
            "and :own at its end for one's own things only"
        )


def gives(pattern: str, permission: str, *, own: bool) -> bool:
    """Return whether a pattern gives `permission`, for a thing that is the caller's own or not."""
    plain = pattern.removesuffix(OWN)
    if plain != pattern and not own:
        return False
    return plain in ("*", permission) or plain in (f"{_noun(permission)}.*", f"*.{_verb(permission)}")


def includes(wider: str, pattern: str) -> bool:
    """Return whether all that `pattern` gives is given by `wider` too."""
    plain, own = pattern.removesuffix(OWN), pattern.endswith(OWN)
    if wider.endswith(OWN) and not own:
        return False
    wide = wider.removesuffix(OWN)
    if wide in ("*", plain):
        return True
    if wide.endswith(".*"):
        return plain.startswith(wide[:-1])
    return wide == "*.read" and plain.endswith(".read")


def within_kind(kind: PrincipalKind, permission: str, *, own: bool) -> bool:
    """Return whether principals of a kind may hold a permission at all."""
    if kind is PrincipalKind.ASSISTANT:
        return permission == SELF or any(gives(most, permission, own=own) for most in ASSISTANTS_MOST)
    return kind is PrincipalKind.PERSON or permission not in PERSONS_ONLY


def check_patterns(patterns: Iterable[str]) -> None:
    """Raise AccessRefused for the first text that is no pattern."""
    for pattern in patterns:
        check_pattern(pattern)


def _noun(permission: str) -> str:
    return permission.partition(".")[0]


def _verb(permission: str) -> str:
    return permission.partition(".")[2]
