"""The shipped disaster_recovery of a host with a folder, a PostgreSQL database, and a Compose project with a volume."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from tests.fleet.books import violations
from tests.fleet.fleet import Fleet
from tests.integration.docker.compose_site import docker_config, why_no_compose
from tests.integration.docker.engine_site import EngineSite, engine_site, why_not
from tests.integration.docker.images import make_base
from tests.integration.restic.postgres_site import Postgres, newest_programs, running_postgres

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(300)]

LOST, SPARE = "db1", "db2"
VAULT: Final = "secret://backup/repository"
STACK: Final = """
services:
  web: {image: "bb:base", stop_signal: SIGKILL, volumes: ["orders:/data"]}
  mail: {image: "bb:base", stop_signal: SIGKILL, profiles: [mail]}
  debug: {image: "bb:base", stop_signal: SIGKILL, profiles: [debug]}
volumes: {orders: {}}
"""
DUMP: Final = """
pilotage: 1
workflows:
  dump:
    version: "1.0.0"
    targets: {hosts: [db1]}
    parameters: {socket: {type: string, required: true}}
    steps:
      - id: dump
        type: backup.database
        parameters:
          repository: secret://backup/repository
          password: secret://backup/password
          database: {engine: postgresql, name: shop, path: "${{ parameters.socket }}"}
"""


@dataclass(frozen=True)
class Place:
    """A fleet whose hosts share an engine and a PostgreSQL server, which are emptied when one of them is lost."""

    fleet: Fleet
    site: EngineSite
    server: Postgres

    @property
    def data(self) -> Path:
        return self.fleet.data_of(LOST)

    def run(self, *arguments: str, **parameters: Any) -> Any:
        """Run a blueprint to its good end, and return the execution."""
        given = [
            part
            for name, value in parameters.items()
            for part in ("-p", f"{name}={value if isinstance(value, str) else json.dumps(value)}")
        ]
        done = self.fleet.run("--json", "run", "start", *arguments, "--yes", *given, check=False)
        assert done.returncode == 0, f"{done.stdout[-4000:]}{done.stderr[-4000:]}"
        return self.fleet.call(lambda client: client.show_run(json.loads(done.stdout)["id"]))

    def volume(self) -> Path:
        return Path(self.site.ask("GET", "/volumes/shop_orders")["Mountpoint"])

    def compose(self, *argv: str) -> None:
        self.site.docker("compose", "-f", str(self.data / "compose.yaml"), "-p", "shop", *argv)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    if reason := why_not():
        pytest.skip(f"no Docker Engine for tests here: {reason}")
    if newest_programs() is None or shutil.which("restic") is None:
        pytest.skip("PostgreSQL or restic is not installed: apt-get install postgresql restic")
    config = docker_config(tmp_path / "docker")
    if reason := why_no_compose(config):
        pytest.skip(f"no docker compose for tests here: {reason}")
    monkeypatch.setenv("DOCKER_CONFIG", config)
    with engine_site() as site, site.inside(), running_postgres() as server:
        make_base(site)
        fleet = Fleet(tmp_path / "fleet", (LOST, SPARE))
        fleet.environment |= {"DOCKER_HOST": site.address, "DOCKER_CONFIG": config}
        try:
            fleet.start_coordinator()
            fleet.run("secret", "set", "backup/password", "--any", input="of no use elsewhere\n")
            fleet.run("secret", "set", "backup/repository", "--any", input=str(fleet.folder / "vault"))
            yield Place(fleet, site, server)
            fleet.stop()
            assert violations(fleet) == []
        finally:
            fleet.stop()


def test_folders_databases_volumes_and_projects_come_back(place: Place) -> None:
    fleet, data = place.fleet, place.data
    data.mkdir(parents=True)
    (data / "compose.yaml").write_text(STACK)
    (data / "page").write_text("of the shop\n")
    place.server.sql("CREATE DATABASE shop")
    place.server.sql("CREATE TABLE orders AS SELECT generate_series(1, 500) AS id", "shop")
    place.compose("--profile", "mail", "up", "--detach", "--pull", "never")
    (place.volume() / "order").write_text("number 501\n")
    fleet.join(LOST)
    fleet.await_online([LOST])
    fleet.run("host", "set", LOST, "--var", f"backup_roots={json.dumps([str(data)])}")
    place.run("fleet_backup_orchestration", hosts=[LOST], kinds=["volumes", "docker_volumes", "databases"], drill=False)
    dump = fleet.folder / "dump.yaml"
    dump.write_text(DUMP)
    place.run("-f", str(dump), socket=place.server.socket)
    fleet.until(
        "the lost host's projects are known",
        lambda: bool(fleet.call(lambda client: client.show_host(LOST))["facts"].get("compose_projects")),
    )

    # All of it goes, with its agent.
    fleet.agents[LOST].stop()
    place.compose("--profile", "*", "down", "--volumes")
    place.server.sql("DROP DATABASE shop")
    shutil.rmtree(data)
    assert not place.site.names()
    fleet.join(SPARE)
    fleet.await_online([SPARE])
    fleet.until(
        "the coordinator knows that it is gone",
        lambda: all(each["state"] != "online" for each in fleet.list_hosts() if each["name"] == LOST),
    )
    fleet.run("host", "set", SPARE, "--var", f"replaces={LOST}")
    execution = place.run(
        "disaster_recovery",
        same_packages=False,  # the packages of the machine that runs the tests are none of their business
        postgresql_socket=place.server.socket,
        first_backup=False,
    )

    outputs = execution["outputs"]
    assert outputs["restored_hosts"]
    assert outputs["unchecked_services"] == ["mail", "web"]
    assert (data / "page").read_text() == "of the shop\n"
    assert place.server.sql("SELECT count(*), sum(id) FROM orders", "shop") == "500|125250"
    assert (place.volume() / "order").read_text() == "number 501\n"
    assert place.site.names() == {"shop-web-1", "shop-mail-1"}, "with the profile that was on, and no other"
