"""Outputs have a bound: as many things are told as there is room for, and how many are left out."""

import json
from collections.abc import Sequence
from typing import Final, TypeVar

from pydantic import BaseModel

ROOM: Final = 60 * 1024
"""Bytes of JSON for all things together; outputs may have 64 KiB."""

ThingT = TypeVar("ThingT", bound=BaseModel)


def fitting(things: Sequence[ThingT]) -> tuple[tuple[ThingT, ...], int]:
    """Return the first things that fit into the outputs of a step, and how many are left out."""
    told: list[ThingT] = []
    size = 0
    for thing in things:
        size += len(json.dumps(thing.model_dump(mode="json"), ensure_ascii=False).encode()) + 2
        if size > ROOM:
            break
        told.append(thing)
    return tuple(told), len(things) - len(told)
