"""The samples of the everyday step types: files, addresses, scripts."""

from pathlib import Path

from pilotage_plugin_api.testing import Conformance, Sample
from pilotage_plugins.file.copy import FileCopy
from pilotage_plugins.file.directory import FileDirectory
from pilotage_plugins.file.remove import FileRemove


class TestFileCopy(Conformance):
    step_type = FileCopy()

    def sample(self, sandbox: Path) -> Sample:
        (sandbox / "from").write_bytes(bytes(range(256)) * 20_000)
        (sandbox / "to").write_text("before\n")
        return Sample({"source": str(sandbox / "from"), "path": str(sandbox / "to"), "mode": "0640"})


class TestFileRemove(Conformance):
    step_type = FileRemove()

    def sample(self, sandbox: Path) -> Sample:
        (sandbox / "old\nname").write_text("before\n")
        return Sample({"path": str(sandbox / "old\nname")})


class TestFileRemoveOfALink(Conformance):
    step_type = FileRemove()

    def sample(self, sandbox: Path) -> Sample:
        (sandbox / "link").symlink_to("no/where")
        return Sample({"path": str(sandbox / "link")})


class TestFileDirectory(Conformance):
    step_type = FileDirectory()

    def sample(self, sandbox: Path) -> Sample:
        return Sample({"path": str(sandbox / "a" / "b" / "c ü"), "mode": "0700", "parents": True})


class TestFileDirectoryThatIsThere(Conformance):
    step_type = FileDirectory()

    def sample(self, sandbox: Path) -> Sample:
        (sandbox / "a").mkdir(mode=0o700)
        return Sample({"path": str(sandbox / "a"), "mode": "0755"})
