"""The digest of a plan, from parts that a host can check by itself. Standard library only.

A plan is a head and one slice for each host: what that host may be asked to do. The digest that people sign is taken
over the digest of the head and the sorted digests of the slices, so whoever has one slice, the digest of the head and
the list can tell that the slice belongs to the plan, without seeing any other host's. docs/security.md has the format.
"""

from collections.abc import Iterable
from itertools import pairwise
from typing import Final

from pilotage_proto.canonical import digest

FORMAT: Final = 2
"""The form of plans; it is part of every digest."""
_PREFIX: Final = "sha256:"
BYTES: Final = 32
"""Of one digest in a list of them."""


class DigestsRefused(ValueError):
    """A list that is none of digests; it says why."""


def plan_digest(head: str, slices: Iterable[str]) -> str:
    """Return the digest of the plan with this head and these slices, each given by its own `sha256:…`."""
    return digest({"plan": FORMAT, "head": head, "slices": sorted(slices)})


def packed(slices: Iterable[str]) -> bytes:
    """Return digests one behind the other, 32 bytes each, sorted: how a list of them travels."""
    return b"".join(bytes.fromhex(each.removeprefix(_PREFIX)) for each in sorted(slices))


def unpacked(digests: bytes) -> tuple[str, ...]:
    """Read what `packed` wrote. Raises DigestsRefused for another length or order, and for one that is there twice."""
    if len(digests) % BYTES:
        raise DigestsRefused(f"a list of digests has {len(digests)} bytes, which is no multiple of {BYTES}")
    found = tuple(_PREFIX + digests[at : at + BYTES].hex() for at in range(0, len(digests), BYTES))
    if any(one >= other for one, other in pairwise(found)):
        raise DigestsRefused("a list of digests is not sorted, or names one twice")
    return found
