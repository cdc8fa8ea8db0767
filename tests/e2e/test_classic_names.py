"""Each of the fifteen classic step type names in a blueprint of the classic form, run for real."""

import http.server
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from pilotage_coordinator.domain.blueprint.form.aliases import ALIASES

from tests.fleet.books import violations
from tests.fleet.fleet import Fleet
from tests.integration.docker.compose_site import docker_config, why_no_compose
from tests.integration.docker.engine_site import EngineSite, engine_site, why_not
from tests.integration.docker.images import APP, digest_of, make_images

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

HOST: Final = "shop1"
STACK: Final = 'services: {web: {image: "bb:base", stop_signal: SIGKILL}}'
Outputs = dict[str, Any]


@dataclass(slots=True)
class Place:
    """The host, its engine and its folders."""

    fleet: Fleet
    site: EngineSite
    runs: int = 0

    @property
    def data(self) -> Path:
        return self.fleet.data_of(HOST)

    def run(self, name: str, parameters: dict[str, Any]) -> Outputs:
        """Run a blueprint of one step of this type to its good end, and return what the step told."""
        step = {"id": "only", "name": "The only one", "type": name, "timeout_minutes": 2, "parameters": parameters}
        self.runs += 1
        version = f"1.0.{self.runs}"
        workflow = {"name": name, "category": "test", "version": version, "targets": {"hosts": [HOST]}, "steps": [step]}
        file = self.fleet.folder / f"{name}.yaml"
        file.write_text(json.dumps({"workflows": {name: workflow}}))
        done = self.fleet.run("--json", "run", "start", "-f", str(file), "--yes", check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        execution = self.fleet.call(lambda client: client.show_run(json.loads(done.stdout)["id"]))
        (run,) = execution["runs"]
        assert (execution["state"], run["state"], run["host"]) == ("completed", "succeeded", HOST)
        outputs: Outputs = run["outputs"]
        return outputs


class Hello(http.server.BaseHTTPRequestHandler):
    """The host's own page."""

    def do_GET(self) -> None:
        """Answer anything."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A host with an engine, a page on port 80, data, and a vault."""
    if reason := why_not():
        pytest.skip(f"no Docker Engine for tests here: {reason}")
    if shutil.which("restic") is None:
        pytest.skip("restic is not installed on this machine: apt-get install restic")
    config = docker_config(tmp_path_factory.mktemp("docker"))
    if reason := why_no_compose(config):
        pytest.skip(f"no docker compose for tests here: {reason}")
    with engine_site() as site, site.inside():
        make_images(site)
        page = http.server.ThreadingHTTPServer(("", 80), Hello)
        threading.Thread(target=page.serve_forever, daemon=True).start()
        fleet = Fleet(tmp_path_factory.mktemp("classic"), (HOST,))
        fleet.environment |= {"DOCKER_HOST": site.address, "DOCKER_CONFIG": config}
        try:
            fleet.start_coordinator()
            fleet.join(HOST)
            fleet.await_online()
            data = fleet.data_of(HOST)
            data.mkdir(parents=True)
            (data / "precious").write_text("of the shop\n")
            fleet.run("secret", "set", "backup/password", "--any", input="of no use elsewhere\n")
            fleet.run("secret", "set", "backup/repository", "--any", input=str(fleet.folder / "vault"))
            variables = {"backup_roots": [str(data)], "snapshot_path": str(data)}
            for name, value in variables.items():
                fleet.run("host", "set", HOST, "--var", f"{name}={json.dumps(value)}")
            place = Place(fleet, site)
            place.run("backup", {"action": "init"})
            yield place
            fleet.stop()
            assert violations(fleet) == []
        finally:
            fleet.stop()
            page.shutdown()
            page.server_close()


def created(place: Place) -> None:
    outputs = place.run("container_operations", {"name": "shop", "image": f"{APP}:1"})
    assert place.site.inspect("shop")["Id"] == outputs["id"]


def upgraded(place: Place) -> None:
    place.site.docker("run", "-d", "--name", "older", "--stop-signal", "SIGKILL", f"{APP}:1")
    health = {"http": {"port": 8080}, "min_healthy_time": "100ms", "healthy_deadline": "30s", "every": "100ms"}
    place.run("upgrade", {"container": "older", "image": f"{APP}:2", "health": health})
    assert place.site.inspect("older")["Config"]["Image"].endswith(digest_of(place.site, f"{APP}:2"))


def deployed(place: Place) -> None:
    folder = place.fleet.folder / "stack"
    folder.mkdir()
    (folder / "compose.yaml").write_text(STACK)
    place.run("service_deployment", {"directory": str(folder), "project": "stack", "health": {"web": {"none": True}}})
    assert place.site.inspect("stack-web-1")["State"]["Running"]


def networked(place: Place) -> None:
    place.run("network_configuration", {"name": "front"})
    assert place.site.ask("GET", "/networks/front") is not None


def backed_up_and_restored(place: Place) -> None:
    """With every parameter left out that may be, but for the folder: its default lies outside of the tests' own."""
    snapshot = place.run("backup", {})["snapshot_id"]
    target = place.fleet.folder / "restored"
    assert place.run("restore", {"target": str(target)})["snapshot_id"] == snapshot
    assert Path(f"{target}{place.data}/precious").read_text() == "of the shop\n"


def sent(place: Place) -> None:
    assert place.run("transfer", {"path": str(place.data)})["sent"]


def kept(place: Place) -> None:
    place.run("snapshot", {})
    (copy,) = place.data.parent.glob(".pilotage-snapshots/*/data")
    assert (copy / "precious").read_text() == "of the shop\n"


def configured(place: Place) -> None:
    path = place.fleet.folder / "shop.conf"
    place.run("configuration", {"path": str(path), "content": "open = yes\n"})
    assert path.read_text() == "open = yes\n"


def found(place: Place) -> None:
    (volume,) = place.run("discovery", {})["volumes"]
    assert (volume["path"], volume["files"]) == (str(place.data), 1)


def maintained(place: Place) -> None:
    path = place.fleet.folder / "swept"
    place.run("maintenance", {"argv": ["touch", str(path)]})
    assert path.exists()


def asked(name: str) -> Callable[[Place], None]:
    def check(place: Place) -> None:
        outputs = place.run(name, {})
        assert (outputs["status"], outputs["body"]) == (200, "hello")

    return check


def allocated(place: Place) -> None:
    place.run("resource_allocation", {"cpu_cores": 0.1, "memory_gb": 0, "disk_gb": 0})


def validated(place: Place) -> None:
    place.run("validation", {})


RUN: Final[dict[str, Callable[[Place], None]]] = {
    "validation": validated,
    "resource_allocation": allocated,
    "container_operations": created,
    "service_deployment": deployed,
    "network_configuration": networked,
    "health_validation": asked("health_validation"),
    "backup": backed_up_and_restored,
    "restore": backed_up_and_restored,
    "snapshot": kept,
    "upgrade": upgraded,
    "testing": asked("testing"),
    "configuration": configured,
    "discovery": found,
    "transfer": sent,
    "maintenance": maintained,
}


@pytest.mark.parametrize("check", dict.fromkeys(RUN.values()), ids=lambda check: check.__qualname__)
def test_it_runs(place: Place, check: Callable[[Place], None]) -> None:
    check(place)


def test_no_name_is_left_out() -> None:
    assert set(RUN) == set(ALIASES)
