"""What a file should be, shared by the verbs that put one in place, and the check before it gets there."""

import difflib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

from pilotage_plugin_api import (
    Action,
    Change,
    FileMode,
    Preview,
    Refused,
    StepContext,
    StepFailed,
    StepOutputs,
    StepParams,
)
from pydantic import Field, field_validator

from pilotage_plugins.file.placement import group_id, user_id
from pilotage_plugins.file.previous import Previous

DIFF_LIMIT: Final = 4000
READ_FOR_DIFF: Final = 1024 * 1024
THE_FILE: Final = "{}"

FilePath = Annotated[str, Field(pattern=r"^/[^\x00]*[^/\x00]$", max_length=4000, description="Absolute path")]
Owner = str | Annotated[int, Field(ge=0)] | None


class WishParams(StepParams):
    """Where a file goes, whose it is, and what must accept it first."""

    path: FilePath
    mode: FileMode = Field(0o644, description='Permissions, quoted: "0644"')
    owner: Owner = Field(None, description="User name or number (unchanged)")
    group: Owner = Field(None, description="Group name or number (unchanged)")
    validate_with: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        description="A program and its arguments that must accept the new file before it replaces the old one; the"
        " item {} becomes its path: [visudo, -cf, '{}']. No shell reads it",
    )
    keep_previous: bool = Field(
        True, description="Keep what was there (at most 32 KiB) in the outputs, so that a rollback can restore it"
    )

    @field_validator("validate_with")
    @classmethod
    def _names_the_file(cls, argv: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if argv is not None and not any(THE_FILE in item for item in argv[1:]):
            raise ValueError("does not name the file: write {} where its path belongs")
        return argv


class PlacedOutputs(StepOutputs):
    """What was done; `previous` feeds the undo."""

    path: str
    changed: bool
    sha256: str
    bytes: int
    previous: Previous


def own_path(path: str, said: str) -> Path:
    """Return the path of a step, which is the only one that its undo may touch; raises Refused when its outputs name
    another."""
    if said != path:
        raise Refused(f"the step is about {path!r} and its outputs are about {said!r}: nothing was undone")
    return Path(path)


def owners(params: WishParams) -> tuple[int, int]:
    """Return the numbers of the user and the group that are wished for; -1 where none is. Blocking."""
    return user_id(params.owner), group_id(params.group)


def is_right(state: Previous, sha256: str, mode: int, uid: int, gid: int) -> bool:
    """Whether a path is already as wished."""
    return (
        state.existed
        and state.sha256 == sha256
        and state.mode == mode
        and uid in (-1, state.uid)
        and gid in (-1, state.gid)
    )


async def accept(ctx: StepContext, argv: Sequence[str] | None, hidden: Path, path: str) -> None:
    """Let the validating program judge the new file; raises StepFailed with its words when it does not like it."""
    if argv is None:
        return
    result = await ctx.program([argv[0], *(item.replace(THE_FILE, str(hidden)) for item in argv[1:])])
    if result.exit_code != 0:
        said = (result.stderr or result.stdout)[-2000:].decode("utf-8", "backslashreplace").strip()
        raise StepFailed(
            f"{argv[0]} does not accept the new {path!r} ({result.ending}), so the old one was left: "
            f"{said.replace(str(hidden), path)}"
        )


def preview_placing(params: WishParams, now: Previous, sha256: str, size: int, new_text: str | None) -> Preview:
    """Say what putting the file in place changes; `new_text` is shown as a diff, None hides it. Blocking."""
    uid, gid = owners(params)
    if is_right(now, sha256, params.mode, uid, gid):
        return Preview(changes=(Change(action=Action.NONE, subject=params.path, note="is right already"),))
    wanted = f"{params.owner if params.owner is not None else ''}:{params.group if params.group is not None else ''}"
    note = f"mode {params.mode:04o}, {size} bytes" + (f", owner {wanted}" if wanted != ":" else "")
    if params.validate_with:
        note += f"; {params.validate_with[0]} must accept it first, which is not tried before the run"
    if not now.existed:
        after = None if new_text is None else new_text[:DIFF_LIMIT]
        return Preview(changes=(Change(action=Action.CREATE, subject=params.path, after=after, note=note),))
    before = f"mode {now.mode:04o}, owner {now.uid}:{now.gid}"
    after = None if new_text is None else _difference(Path(params.path), new_text)
    return Preview(changes=(Change(action=Action.UPDATE, subject=params.path, before=before, after=after, note=note),))


def _difference(path: Path, content: str) -> str:
    if path.stat().st_size > READ_FOR_DIFF:
        return f"(the file is above {READ_FOR_DIFF} bytes: no difference is shown)"
    old = os.fsdecode(path.read_bytes()).encode("utf-8", "backslashreplace").decode()
    lines = difflib.unified_diff(old.splitlines(), content.splitlines(), "now", "then", lineterm="", n=2)
    return "\n".join(lines)[:DIFF_LIMIT]
