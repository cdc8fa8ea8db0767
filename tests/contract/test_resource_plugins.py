"""The samples of allocations, with a ledger that is part of the sandbox."""

from pathlib import Path

import pytest
from pilotage_plugin_api.testing import Conformance, Harness, Sample
from pilotage_plugins.note import shelf
from pilotage_plugins.resource import ledger
from pilotage_plugins.resource.allocate import ResourceAllocate
from pilotage_plugins.resource.ledger import Ledger
from pilotage_plugins.resource.release import ResourceRelease


class _OnLedger(Conformance):
    @pytest.fixture(autouse=True)
    def _own_ledger(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ledger, "state_folder", lambda: tmp_path / "sandbox")
        monkeypatch.setattr(shelf, "state_folder", lambda: tmp_path / "notes")

    def prepare(self, harness: Harness) -> None:
        ledger.write_ledger(Ledger())
        ledger.ledger_file().with_suffix(".lock").touch(0o600)


class TestResourceAllocate(_OnLedger):
    step_type = ResourceAllocate()

    def sample(self, sandbox: Path) -> Sample:
        return Sample({"name": "shop", "cpu_cores": 0.1, "memory_gb": 0.001, "disk_gb": 0.001, "ports": [59_371]})


class TestResourceRelease(_OnLedger):
    step_type = ResourceRelease()

    def prepare(self, harness: Harness) -> None:
        super().prepare(harness)
        harness.run(ResourceAllocate(), {"name": "shop", "cpu_cores": 0.1})

    def sample(self, sandbox: Path) -> Sample:
        return Sample({"name": "shop"})
