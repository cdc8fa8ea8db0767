"""Which profiles of a project are on, told from the services that stand."""

from collections.abc import Sequence

import pytest
from pilotage_plugins.compose.profiles import switched_on

FILE: dict[str, Sequence[str]] = {
    "web": (),
    "shell": ("debug",),
    "tracer": ("debug", "trace"),
    "mail": ("mail",),
    "queue": ("work", "more"),
    "worker": ("work",),
}


@pytest.mark.parametrize(
    ("standing", "profiles"),
    [
        (["web"], ()),
        (["web", "mail"], ("mail",)),
        (["web", "shell", "tracer"], ("debug", "trace")),
        (["web", "tracer"], ("trace",)),
        (["web", "shell"], ("debug",)),
        (["web", "queue"], ("more",)),
        (["web", "worker"], ("work",)),
        (["web", "gone-from-the-file"], ()),
    ],
)
def test_profiles_are_those_whose_services_stand(standing: list[str], profiles: tuple[str, ...]) -> None:
    assert switched_on(FILE, standing) == profiles
