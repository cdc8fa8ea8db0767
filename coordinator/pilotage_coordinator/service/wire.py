"""The forms that requests and answers share: strict models, times as RFC 3339, pages with a cursor."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Generic, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, WithJsonSchema

LARGEST_PAGE: Final = 1000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

T = TypeVar("T")


def shaped(pattern: str, words: str) -> tuple[Any, Any]:
    """Return what a text must look like, for `Annotated[str, *shaped(...)]`: who breaks it is told in words."""
    whole = re.compile(pattern)

    def check(text: str) -> str:
        if whole.fullmatch(text) is None:
            raise ValueError(words)
        return text

    return AfterValidator(check), WithJsonSchema({"type": "string", "pattern": f"^{pattern}$"})


Name = Annotated[str, StringConstraints(min_length=1, max_length=253)]
Reason = Annotated[str, StringConstraints(max_length=2000)]
ExecutionId = Annotated[
    str,
    *shaped(
        r"exe_[0-9a-f]{32}",
        "this is no execution's id, which is exe_ and 32 of 0-9 and a-f; `pilotage run list` shows them",
    ),
]
Digest = Annotated[str, *shaped(r"sha256:[0-9a-f]{64}", "this is no digest, which is sha256: and 64 of 0-9 and a-f")]


class Request(BaseModel):
    """What a face asks. Unknown fields are refused by name; values are never converted silently."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def subject(self) -> str:
        """Return what the request is about, for the audit record: an id or a name, never a secret value."""
        return ""


class Answer(BaseModel):
    """What an operation answers."""

    model_config = ConfigDict(frozen=True)


class PageRequest(Request):
    """A part of a list. `cursor` is the `next` of the part before; empty asks for the first."""

    cursor: Annotated[str, StringConstraints(max_length=500)] = ""
    limit: Annotated[int, Field(ge=1, le=LARGEST_PAGE)] = 100


class Page(Answer, Generic[T]):
    """A part of a list; `next` is empty at its end."""

    items: list[T]
    next: str = ""


def rfc3339(microseconds: int) -> str:
    """Write UTC microseconds as RFC 3339 with all six digits; 0, which stands for "not yet", as an empty text."""
    if not microseconds:
        return ""
    moment = _EPOCH + timedelta(microseconds=microseconds)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def microseconds(moment: datetime) -> int:
    """Return a moment as UTC microseconds."""
    return (moment - _EPOCH) // timedelta(microseconds=1)
