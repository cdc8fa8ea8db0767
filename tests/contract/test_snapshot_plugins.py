"""The samples of the snapshots: on a plain folder, as every host can copy."""

from pathlib import Path

from pilotage_plugin_api.testing import Conformance, Harness, Sample
from pilotage_plugins.snapshot.create import SnapshotCreate
from pilotage_plugins.snapshot.listing import SnapshotList
from pilotage_plugins.snapshot.remove import SnapshotRemove
from pilotage_plugins.snapshot.restore import SnapshotRestore


class _OfData(Conformance):
    kept = True

    def prepare(self, harness: Harness) -> None:
        (harness.sandbox / "data" / "deep").mkdir(parents=True)
        (harness.sandbox / "data" / "deep" / "file").write_text("before\n")
        if self.kept:
            harness.run(SnapshotCreate(), {"path": str(harness.sandbox / "data")})
            (harness.sandbox / "data" / "deep" / "file").write_text("after\n")

    def sample(self, sandbox: Path) -> Sample:
        return Sample({"path": str(sandbox / "data")})


class TestSnapshotCreate(_OfData):
    step_type = SnapshotCreate()
    kept = False


class TestSnapshotRestore(_OfData):
    step_type = SnapshotRestore()


class TestSnapshotRemove(_OfData):
    step_type = SnapshotRemove()

    def sample(self, sandbox: Path) -> Sample:
        return Sample({"path": str(sandbox / "data")}, ignored_outputs=frozenset({"removed"}))


class TestSnapshotList(_OfData):
    step_type = SnapshotList()
