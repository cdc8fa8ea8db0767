"""`acme.line` keeps Pilotage's rules, and its own."""

from pathlib import Path

import pytest
from acme_pilotage.line import AcmeLine
from pilotage_plugin_api import TargetFailed
from pilotage_plugin_api.testing import Conformance, Harness, Sample


class TestAcmeLineConforms(Conformance):
    step_type = AcmeLine()

    def sample(self, sandbox: Path) -> Sample:
        (sandbox / "motd").write_text("welcome\n")
        return Sample({"path": str(sandbox / "motd"), "line": "be careful"})


def test_the_line_is_added_once(harness: Harness) -> None:
    file = harness.sandbox / "motd"
    file.write_text("welcome\n")
    params = {"path": str(file), "line": "be careful"}
    assert harness.run(AcmeLine(), params, key="exe_1/greet/host1//run/1") == {"added": True}
    assert harness.run(AcmeLine(), params, key="exe_2/greet/host1//run/1") == {"added": False}
    assert file.read_text() == "welcome\nbe careful\n"


def test_a_missing_file_is_named(harness: Harness) -> None:
    with pytest.raises(TargetFailed, match="motd"):
        harness.run(AcmeLine(), {"path": str(harness.sandbox / "motd"), "line": "x"})
