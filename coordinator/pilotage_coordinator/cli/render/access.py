"""Roles and permissions as people read them."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from pilotage_client.answers import Grant


def grant_lines(grants: Sequence[Grant]) -> Iterator[str]:
    """Yield what a principal holds, a line for each role and its limits."""
    if not grants:
        yield "Role       none: it may do nothing"
    for grant in grants:
        yield f"Role       {grant['role']}, for {grant['scope']} (given by {grant['granted_by']})"


def permission_lines(permissions: Sequence[str]) -> Iterator[str]:
    """Yield what somebody may do, a line for each noun."""
    for noun, each in groupby(sorted(permissions), key=lambda permission: permission.partition(".")[0]):
        yield f"May        {noun}: {verbs(each)}"


def verbs(permissions: Iterable[str]) -> str:
    """Return the verbs of permissions of one noun in words."""
    return ", ".join(each.partition(".")[2].replace(":own", " (own only)") for each in permissions)
