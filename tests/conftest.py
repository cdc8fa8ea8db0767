"""What every test process needs before anything imports grpc; the order of the files; in CI, nothing is skipped."""

import os
from collections.abc import Generator
from pathlib import Path

import pilotage_coordinator.fleet  # noqa: F401 - sets what grpc reads from the environment at its import
import pytest
from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")  # a busy machine takes its time, and no test asserts one

TESTS = Path(__file__).parent
IN_CI = bool(os.environ.get("CI")) and os.geteuid() == 0
LONGEST_FIRST = ("e2e", "integration", "model", "contract")
"""The folders whose files take minutes; those of the others take seconds."""


def pytest_xdist_auto_num_workers() -> int:
    """Run three files beside each other for every two cores: many tests wait for processes half of their time."""
    cores = len(os.sched_getaffinity(0))
    return cores + cores // 2


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files that take long first, so that at the end no core waits for one that another has just begun."""
    items.sort(key=lambda item: _rank(item.path))


def _rank(path: Path) -> int:
    folder = path.relative_to(TESTS).parts[0] if path.is_relative_to(TESTS) else ""
    return LONGEST_FIRST.index(folder) if folder in LONGEST_FIRST else len(LONGEST_FIRST)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail what CI would skip, but for tests marked `version`: set-up installs all that they need."""
    report = yield
    if IN_CI and report.skipped and not hasattr(report, "wasxfail") and item.get_closest_marker("version") is None:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"in CI nothing may be skipped; tools/setup must bring what this needs: {reason}"
    return report
