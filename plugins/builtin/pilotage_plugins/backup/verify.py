"""`backup.verify`: prove that a repository is whole."""

import re
import time
from typing import Final

from pilotage_plugin_api import Effect, StepContext, StepOutputs
from pydantic import Field, field_validator

from pilotage_plugins.backup.repository import RepositoryParams
from pilotage_plugins.backup.restic import ResticStepType, open_repository
from pilotage_plugins.backup.snapshots import find

_PERCENT: Final = re.compile(r"(100|[1-9]?\d)(\.\d{1,2})?%")
_DONE: Final = re.compile(rb"(\d+\.\d+)%")


class BackupVerifyParams(RepositoryParams):
    """How thoroughly."""

    read_data: str = Field(
        "none", description='none: structure only; "5%": also read a random part of the data; full: read all of it'
    )

    @field_validator("read_data")
    @classmethod
    def _known(cls, read_data: str) -> str:
        if read_data in ("none", "full") or (_PERCENT.fullmatch(read_data) and float(read_data[:-1]) > 0):
            return read_data
        raise ValueError(f'{read_data!r} is neither none, full nor a percentage such as "5%"')


class BackupVerifyOutputs(StepOutputs):
    """What was proved."""

    snapshots: int
    read_data: str
    duration_s: float


class BackupVerify(ResticStepType[BackupVerifyParams, BackupVerifyOutputs]):
    """Check a repository's structure, and with `read_data` that its content is still what was written.

    Only reading the data finds flipped bits on the vault's disks. The check holds the repository's lock, so backups of
    other hosts into it wait.
    """

    name = "backup.verify"
    effect = Effect.READ
    Params = BackupVerifyParams
    Outputs = BackupVerifyOutputs

    async def run(self, ctx: StepContext, params: BackupVerifyParams) -> BackupVerifyOutputs:
        """Run restic's check; anything that it finds is a failure that quotes it."""
        started = time.monotonic()
        arguments = {"none": [], "full": ["--read-data"]}.get(
            params.read_data, [f"--read-data-subset={params.read_data}"]
        )

        def listen(line: bytes) -> None:
            if found := _DONE.search(line):
                ctx.progress(float(found[1]) / 100, "checking")
            else:
                ctx.log(line.decode("utf-8", "backslashreplace"))

        async with open_repository(ctx, params) as restic:
            await restic.run("verifying the repository", "check", *arguments, on_line=listen)
            snapshots = len(await find(restic))
        return BackupVerifyOutputs(
            snapshots=snapshots, read_data=params.read_data, duration_s=round(time.monotonic() - started, 3)
        )
