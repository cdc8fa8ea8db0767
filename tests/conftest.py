"""What every test process needs before anything imports grpc, and a rule: in CI, nothing is skipped."""

import os
from collections.abc import Generator

import pilotage_coordinator.fleet  # noqa: F401 - sets what grpc reads from the environment at its import
import pytest

IN_CI = bool(os.environ.get("CI")) and os.geteuid() == 0


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail what CI would skip, but for tests marked `version`: set-up installs all that they need."""
    report = yield
    if IN_CI and report.skipped and not hasattr(report, "wasxfail") and item.get_closest_marker("version") is None:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"in CI nothing may be skipped; tools/setup must bring what this needs: {reason}"
    return report
