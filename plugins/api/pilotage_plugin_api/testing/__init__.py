"""For authors of step types: a harness that runs one in-process, and the conformance suite that each must pass.

This package is a pytest plugin; installing `pilotage-plugin-api[testing]` is enough for the fixture `harness`. The
suite is a class to derive from:

    from pilotage_plugin_api.testing import Conformance, Sample

    class TestGreet(Conformance):
        step_type = Greet()

        def sample(self, sandbox: Path) -> Sample:
            return Sample({"path": str(sandbox / "greeting"), "text": "hello"})

`pytest --pilotage-conformance` runs the suites alone and fails for a step type that has none (see option.py).
"""

from pilotage_plugin_api.testing.conformance import Conformance, Sample
from pilotage_plugin_api.testing.fixture import harness
from pilotage_plugin_api.testing.harness import Harness, Recorder
from pilotage_plugin_api.testing.option import (
    pytest_addoption,
    pytest_collection_modifyitems,
    pytest_terminal_summary,
)
from pilotage_plugin_api.testing.tree import tree_of

__all__ = [
    "Conformance",
    "Harness",
    "Recorder",
    "Sample",
    "harness",
    "pytest_addoption",
    "pytest_collection_modifyitems",
    "pytest_terminal_summary",
    "tree_of",
]
