"""What a drill found out: the evidence of each snapshot, and the verdict over all of them, also a bad one."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from pilotage_plugin_api import StepFailed, StepOutputs

from pilotage_plugins.backup.moment import format_time
from pilotage_plugins.backup.snapshots import Snapshot
from pilotage_plugins.backup.trial import Tried
from pilotage_plugins.tree.comparison import Comparison

DIFFERENCES_SHOWN: Final = 5
PROBLEM_LIMIT: Final = 400
OWNERS_LEFT_OUT: Final = (
    "owners and groups were not compared: the agent is not root, and only root can restore them. Drill once where it is"
)


class DrilledSnapshot(StepOutputs):
    """The evidence of one snapshot. Counts are of entries: files, folders, links.

    `identical`: it restored to what was backed up, and its database works; `problem` says why not, `different` counts
    the entries that differ and `differences` names the first of them. `volatile`: they changed while they were backed
    up, so restic's own hashes are the only proof of them. `owners_compared`: false for databases, whose copies have
    none, and where the agent is not root. `integrity`, `tables`, `rows` and `answer` are of a database: what its engine
    says of the restored copy. `restore_s` includes loading a dump into a server; 0 when it did not restore.
    """

    id: str
    time: str
    paths: tuple[str, ...]
    kind: str
    files_identical: int
    bytes_identical: int
    entries_identical: int
    volatile: int
    integrity: str | None
    tables: int | None = None
    rows: int | None = None
    answer: str | None = None
    restore_s: float
    compare_s: float
    identical: bool = True
    owners_compared: bool = False
    different: int = 0
    differences: tuple[str, ...] = ()
    problem: str = ""


class RestoreDrillOutputs(StepOutputs):
    """The verdict. `rto_s`: time to restore all of them one after the other. `rpo_s`: the age of the oldest of them
    when the drill began: what would have been lost at most. Both in seconds. A drill that failed has these outputs
    beside its error, too; then `complete` tells whether every snapshot was tried."""

    identical: bool
    rto_s: float
    rpo_s: float
    files_identical: int
    bytes_identical: int
    volatile: int
    snapshots: tuple[DrilledSnapshot, ...]
    complete: bool = True
    warnings: tuple[str, ...] = ()


@dataclass(slots=True)
class Trial:
    """One snapshot while it is drilled: what is known so far."""

    snapshot: Snapshot
    comparison: Comparison = field(default_factory=Comparison)
    tried: Tried | None = None
    owners_compared: bool = False
    restore_s: float = 0.0
    compare_s: float = 0.0
    problem: str = ""

    def judge(self) -> None:
        """Raise StepFailed when what came back is not what was backed up."""
        if self.comparison.different:
            raise StepFailed(
                f"snapshot {self.snapshot.id} does not restore to what was backed up,"
                f" {self.comparison.different} differences: " + "; ".join(self.comparison.differences)
            )

    def evidence(self) -> DrilledSnapshot:
        """Return what was found out."""
        snapshot, comparison, tried = self.snapshot, self.comparison, self.tried
        return DrilledSnapshot(
            id=snapshot.id,
            time=format_time(snapshot.time),
            paths=snapshot.paths,
            kind=snapshot.engine or "files",
            files_identical=comparison.files_identical,
            bytes_identical=comparison.bytes_identical,
            entries_identical=comparison.identical,
            volatile=comparison.volatile,
            integrity=tried.integrity if tried else None,
            tables=tried.tables if tried else None,
            rows=tried.rows if tried else None,
            answer=tried.answer if tried else None,
            restore_s=round(self.restore_s + (tried.load_s if tried else 0.0), 3),
            compare_s=round(self.compare_s, 3),
            identical=not self.problem,
            owners_compared=self.owners_compared,
            different=comparison.different,
            differences=tuple(comparison.differences[:DIFFERENCES_SHOWN]),
            problem=self.problem,
        )


def verdict(
    drilled: Sequence[DrilledSnapshot], began: datetime, chosen: Sequence[Snapshot], *, complete: bool = True
) -> RestoreDrillOutputs:
    """Return the verdict over the snapshots that were drilled; what is too long for outputs is cut."""
    shown = tuple(each.model_copy(update={"problem": each.problem[:PROBLEM_LIMIT]}) for each in drilled)
    left_out = any(each.kind == "files" and each.entries_identical and not each.owners_compared for each in drilled)
    return RestoreDrillOutputs(
        identical=complete and not any(each.problem for each in drilled),
        rto_s=round(sum(each.restore_s for each in drilled), 3),
        rpo_s=round(max((began - snapshot.time).total_seconds() for snapshot in chosen), 3),
        files_identical=sum(each.files_identical for each in drilled),
        bytes_identical=sum(each.bytes_identical for each in drilled),
        volatile=sum(each.volatile for each in drilled),
        snapshots=shown,
        complete=complete,
        warnings=(OWNERS_LEFT_OUT,) if left_out else (),
    )


def problems_of(drilled: Sequence[DrilledSnapshot]) -> str:
    """Say for people what is wrong, snapshot by snapshot."""
    bad = [each.problem for each in drilled if each.problem]
    said = " | ".join(bad[:10])
    return said if len(drilled) == 1 else f"{len(bad)} of {len(drilled)} snapshots do not restore: {said}"
