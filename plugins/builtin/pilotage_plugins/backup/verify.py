"""`backup.verify`: prove that a repository is whole."""

import re
import time
from typing import Final

from pilotage_plugin_api import Effect, StepContext, StepFailed, StepOutputs
from pydantic import Field, field_validator

from pilotage_plugins.backup.damage import damaged_packs, trace
from pilotage_plugins.backup.errors import failure, last_words
from pilotage_plugins.backup.repository import RepositoryParams, masked
from pilotage_plugins.backup.restic import ResticStepType, open_repository
from pilotage_plugins.backup.snapshots import find

_PERCENT: Final = re.compile(r"(100|[1-9]?\d)(\.\d{1,2})?%")
_PART: Final = re.compile(r"([1-9]\d{0,4})/([1-9]\d{0,4})")
_DONE: Final = re.compile(rb"(\d+\.\d+)%")


class BackupVerifyParams(RepositoryParams):
    """How thoroughly."""

    read_data: str = Field(
        "none",
        description='none: structure only; "5%": also read a random part of the data; "3/7": the third of seven fixed'
        " parts, so that a week of checks reads all; full: read all of it",
    )

    @field_validator("read_data")
    @classmethod
    def _known(cls, read_data: str) -> str:
        if read_data in ("none", "full") or (_PERCENT.fullmatch(read_data) and float(read_data[:-1]) > 0):
            return read_data
        if (part := _PART.fullmatch(read_data)) and int(part[1]) <= int(part[2]) <= 256:
            return read_data
        raise ValueError(
            f'{read_data!r} is neither none, full, a percentage such as "5%", nor a part such as "3/7" (256 at most)'
        )


class BackupVerifyOutputs(StepOutputs):
    """What was proved."""

    snapshots: int
    read_data: str
    duration_s: float


class BackupVerify(ResticStepType[BackupVerifyParams, BackupVerifyOutputs]):
    """Check a repository's structure, and with `read_data` that its content is still what was written.

    Only reading the data finds flipped bits on the vault's disks; what is damaged is reported with the packs and the
    snapshots that need them. The check holds the repository's lock, so backups of other hosts into it wait.
    """

    name = "backup.verify"
    effect = Effect.READ
    Params = BackupVerifyParams
    Outputs = BackupVerifyOutputs

    async def run(self, ctx: StepContext, params: BackupVerifyParams) -> BackupVerifyOutputs:
        """Run restic's check; anything that it finds is a failure that names what is damaged and quotes it."""
        started = time.monotonic()
        arguments = {"none": [], "full": ["--read-data"]}.get(
            params.read_data, [f"--read-data-subset={params.read_data}"]
        )
        damaged: dict[str, None] = {}

        def listen(line: bytes) -> None:
            if found := _DONE.search(line):
                ctx.progress(float(found[1]) / 100, "checking")
                return
            damaged.update(dict.fromkeys(damaged_packs(line)))
            ctx.log(line.decode("utf-8", "backslashreplace"))

        async with open_repository(ctx, params) as restic:
            checked = await restic.attempt("check", *arguments, on_line=listen, on_error_line=listen)
            if checked.exit_code and damaged:
                raise StepFailed(
                    f"verifying {masked(params.repository)} found damage: {await trace(restic, damaged)}. Back these"
                    " up again at once, into another repository when the disk may be at fault; then see docs/backups.md"
                    f" (Repair). restic said: {last_words(checked)}"
                )
            if checked.exit_code:
                raise failure(checked, "verifying the repository", params.repository)
            snapshots = len(await find(restic))
        return BackupVerifyOutputs(
            snapshots=snapshots, read_data=params.read_data, duration_s=round(time.monotonic() - started, 3)
        )
