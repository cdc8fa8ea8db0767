"""What `package.install` leaves out when it may, by what the archives of the host offer."""

from collections.abc import Iterable
from typing import Any, cast

import pytest
from pilotage_plugins.package.install import InstallParams, left_out_of
from pilotage_plugins.package.system import PackageManager


class Archives:
    """What can be had."""

    async def offered(self, packages: Iterable[str]) -> dict[str, set[str]]:
        known = {"nginx": {"1.22", "1.24"}, "libc6": {"2.36"}}
        return {name: known[name] for name in packages if name in known}


@pytest.mark.parametrize(
    ("request_", "left_out"),
    [
        ("nginx", False),
        ("nginx=1.24", False),
        ("libc6:amd64", False),
        ("nginx=9", True),
        ("docker-ce", True),
        ("docker-ce=5:27", True),
    ],
)
async def test_only_what_no_archive_offers_is_left_out(request_: str, left_out: bool) -> None:
    archives = cast("PackageManager", cast("Any", Archives()))
    wanted = InstallParams(packages=(request_,), skip_missing=True)
    assert await left_out_of(archives, wanted, [request_]) == ([request_] if left_out else [])
    strict = InstallParams(packages=(request_,))
    assert await left_out_of(archives, strict, [request_]) == [], "then the package manager says what is missing"
