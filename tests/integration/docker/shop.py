"""A web app of several containers behind one alias, and a container to ask them from."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Final

from tests.integration.docker.engine_site import EngineSite
from tests.integration.docker.images import APP

CLIENT: Final = "client"
ALIAS: Final = "shop"


@contextlib.contextmanager
def open_shop(site: EngineSite, replicas: Sequence[str], *options: str) -> Iterator[EngineSite]:
    """Start version 1 of each of `replicas` behind the alias, on an engine that holds nothing else.

    `options` go to `docker run` of each of them.
    """
    site.remove_everything()
    site.docker("network", "create", "--subnet", "172.31.7.0/24", "front")
    site.docker("run", "-d", "--name", CLIENT, "--network", "front", "bb:base", "/bin/sleep", "1000")
    for name in replicas:
        site.docker(
            "run", "-d", "--name", name, "--network", "front", "--network-alias", ALIAS, "--stop-signal", "SIGKILL",
            *options, f"{APP}:1",
        )  # fmt: skip
    yield site
    site.remove_everything()
