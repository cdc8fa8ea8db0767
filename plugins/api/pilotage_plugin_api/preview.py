"""What a step would change, found out without changing it."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field


class Action(StrEnum):
    """What would happen to one subject."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    RUN = "run"
    NONE = "none"


class Change(BaseModel):
    """One thing that would happen. `before` and `after` are short texts for people, at most 4 KiB each."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    action: Action
    subject: str = Field(max_length=4096, description="What it happens to: a path, a repository, a unit")
    before: str | None = Field(default=None, max_length=4096)
    after: str | None = Field(default=None, max_length=4096)
    note: str = Field(default="", max_length=4096)


class Preview(BaseModel):
    """The changes that a run would make now, in order. JSON: `model_dump(mode="json")`.

    `complete` is false when the step type cannot know everything before it runs; `note` then says why.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    changes: tuple[Change, ...] = Field(default=(), max_length=1000)
    complete: bool = True
    note: str = Field(default="", max_length=4096)
