"""Shipped blueprints on whole hosts: containers that boot systemd, with agents installed as services.

All hosts share one Docker Engine, whose registry and network they live beside. Their data, vault and agents' folders
are folders of ours, so that what they hold can be compared from outside, also when a host is gone.
"""

import contextlib
import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pilotage_agent.install import UNIT

from tests.demo.data import books_agree, fill_host
from tests.demo.tree import Entry, entries
from tests.fleet.books import violations
from tests.fleet.fleet import Fleet
from tests.fleet.process import program
from tests.integration.agent import systemd_host
from tests.integration.agent.systemd_host import SystemdHost, boot, import_image, installation
from tests.integration.docker.engine_site import EngineSite, engine_site, why_not
from tests.integration.docker.images import APP, digest_of, make_images
from tests.integration.host.inside import repository

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(600)]

HOSTS = ("h1", "h2", "h3")
SPARE = "h4"
SUM = "SELECT count(*), sum(amount), group_concat(note) FROM (SELECT * FROM entry ORDER BY id)"


@dataclass
class Harbour:
    """Hosts, their engine and their coordinator. `lost` is what a host held when it went."""

    site: EngineSite
    fleet: Fleet
    hosts: dict[str, SystemdHost] = field(default_factory=dict)
    lost: dict[str, Entry] = field(default_factory=dict)
    answer: tuple[Any, ...] = ()

    def docker(self, *argv: str, check: bool = True, seconds: float = 120) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["docker", "-H", self.site.address, *argv], capture_output=True, text=True, check=check, timeout=seconds
        )

    def data_of(self, host: str) -> Path:
        return self.fleet.folder / "srv" / host

    def add(self, host: str) -> None:
        """Boot a host, let it join, and install its agent as a service, as docs/operations.md says."""
        state, data = self.fleet.state_of(host), self.data_of(host)
        for folder in (state, data, self.shared("vault"), self.shared("environments")):
            folder.mkdir(parents=True, exist_ok=True)
        restic = shutil.which("restic")
        assert restic is not None
        self.hosts[host] = boot(
            self,
            host,
            *installation(),
            f"{restic}:{restic}:ro",
            f"{self.site.socket}:/engine.sock",
            f"{state}:/var/lib/pilotage",
            f"{data}:/srv",
            *(f"{self.shared(name)}:{self.shared(name)}" for name in ("vault", "environments")),
        )
        token = self.fleet.call(lambda client: client.make_token(host, {}))["token"]
        self.on(host, program("pilotage-agent"), "join", token)
        unit = f"/etc/systemd/system/{UNIT}.d"
        self.on(host, "mkdir", unit)
        setting = "[Service]\\nEnvironment=DOCKER_HOST=unix:///engine.sock\\n"
        self.on(host, "sh", "-c", f"printf '{setting}' > {unit}/engine.conf")
        self.on(host, program("pilotage-agent"), "install")

    def on(self, host: str, *argv: str) -> str:
        return self.hosts[host].run(*argv).stdout

    def shared(self, name: str) -> Path:
        return self.fleet.folder / name

    def run(self, blueprint: str, **parameters: Any) -> Any:
        """Run a blueprint to its good end, and return the execution."""
        given = [
            part
            for name, value in parameters.items()
            for part in ("-p", f"{name}={value if isinstance(value, str) else json.dumps(value)}")
        ]
        done = self.fleet.run("--json", "run", "start", blueprint, "--yes", *given, check=False)
        assert done.returncode == 0, f"{done.stdout[-4000:]}{done.stderr[-4000:]}"
        execution = self.fleet.call(lambda client: client.show_run(json.loads(done.stdout)["id"]))
        assert execution["state"] == "completed", execution
        return execution

    def fails(self, blueprint: str, *arguments: str) -> Any:
        """Run a blueprint that does not come to a good end, and return the execution."""
        done = self.fleet.run("--json", "run", "start", blueprint, "--yes", *arguments, check=False)
        assert done.returncode == 1, f"{done.stdout[-4000:]}{done.stderr[-4000:]}"
        return self.fleet.call(lambda client: client.show_run(json.loads(done.stdout)["id"]))

    def answers(self, url_of: str) -> str:
        """Ask the container of this name, from inside another one's network."""
        address = self.site.inspect(url_of)["NetworkSettings"]["Networks"]["staging-api"]["IPAddress"]
        return self.on(
            "h1",
            sys.executable,
            "-c",
            f"import urllib.request as u; print(u.urlopen('http://{address}:8080/').read().decode())",
        )


@pytest.fixture(scope="module")
def harbour(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harbour]:
    if reason := why_not() or systemd_host.why_not():
        pytest.skip(f"no whole hosts for tests here: {reason}")
    with contextlib.ExitStack() as stack:
        site = stack.enter_context(engine_site())
        import_image(site.address)
        stack.enter_context(site.inside())
        make_images(site)
        fleet = Fleet(tmp_path_factory.mktemp("harbour"), (*HOSTS, SPARE))
        made = Harbour(site, fleet)
        try:
            fleet.start_coordinator()
            for number, host in enumerate(HOSTS):
                fill_host(made.data_of(host), number)
                made.add(host)
            fleet.await_online(HOSTS)
            fleet.run("secret", "set", "backup/password", "--any", input="a password of tests\n")
            fleet.run("secret", "set", "backup/repository", "--any", input=f"{made.shared('vault')}/shared\n")
            yield made
            for host in made.hosts:
                made.docker("rm", "-f", host)
            fleet.stop()
            assert violations(fleet) == []
        finally:
            fleet.stop()


def test_environment_provisioning(harbour: Harbour) -> None:
    harbour.fleet.run("host", "set", "h1", "--label", "provisioning=yes", "--var", f"image_api={APP}:1")
    execution = harbour.run(
        "environment_provisioning",
        environment_name="staging-api",
        container_count=3,
        service_type="api",
        cpu_cores=0.1,
        data_root=str(harbour.shared("environments")),
        test_command=["/bin/test", "-e", "/data/environment.json"],
    )
    names = [f"staging-api-api-{number}" for number in (1, 2, 3)]
    assert execution["outputs"]["containers"] == names
    assert [harbour.answers(name).strip() for name in names] == ["version 1"] * 3
    described = json.loads((harbour.shared("environments") / "staging-api" / "environment.json").read_text())
    assert described["containers"] == 3
    assert len(execution["outputs"]["snapshots"]) == 1


def test_an_environment_that_does_not_come_up_leaves_nothing(harbour: Harbour) -> None:
    before = harbour.site.picture()
    harbour.site.docker("push", "-q", f"{APP}:dies")
    execution = harbour.fails(
        "environment_provisioning",
        *("-p", "environment_name=doomed", "-p", f"image={APP}:dies", "-p", "cpu_cores=0.1", "-p", "backup=false"),
        *("-p", f"data_root={harbour.shared('environments')}"),
    )
    assert execution["state"] == "rolled_back"
    after = harbour.site.picture()
    assert {key: after[key] for key in ("containers", "networks", "volumes")} == {
        key: before[key] for key in ("containers", "networks", "volumes")
    }
    assert not (harbour.shared("environments") / "doomed").exists()


def test_safe_container_upgrade(harbour: Harbour) -> None:
    for number, host in enumerate(HOSTS, 1):
        name = f"upgrade_container=staging-api-api-{number}"
        harbour.fleet.run("host", "set", host, "--var", name, "--var", f"upgrade_image={APP}:2")
    quick = {"min_healthy_time": "200ms", "healthy_deadline": "30s"}
    execution = harbour.run("safe_container_upgrade", upgrade_type="canary", **quick)
    assert execution["outputs"]["upgraded_hosts"] == list(HOSTS)
    for number in (1, 2, 3):
        name = f"staging-api-api-{number}"
        assert harbour.site.inspect(name)["Config"]["Image"].endswith(digest_of(harbour.site, f"{APP}:2"))
        assert harbour.answers(name).strip() == "version 2"


def test_fleet_backup_orchestration(harbour: Harbour) -> None:
    execution = harbour.run("fleet_backup_orchestration", read_data="full", backup_retention_days=30)
    assert execution["outputs"]["failed_hosts"] == []
    assert len(execution["outputs"]["drilled_hosts"]) == 1


def test_disaster_recovery(harbour: Harbour) -> None:
    """Wipe a host for good; the replacement has the same tree to the last byte, and the same database."""
    lost, data = "h3", harbour.data_of("h3")
    before = {path: entry for path, entry in entries(data).items() if not path.startswith("app")}
    with sqlite3.connect(data / "app/app.db") as database:
        answer = database.execute(SUM).fetchone()
    database.close()
    harbour.docker("rm", "-f", lost)
    harbour.hosts.pop(lost)
    shutil.rmtree(data)
    harbour.fleet.until(
        "the coordinator knows that it is gone",
        lambda: all(each["state"] != "online" for each in harbour.fleet.list_hosts() if each["name"] == lost),
    )

    harbour.add(SPARE)
    harbour.fleet.await_online([SPARE])
    harbour.fleet.run("host", "set", SPARE, "--var", f"replaces={lost}")
    execution = harbour.run("disaster_recovery", recovery_type="full", validation_level="comprehensive")

    assert execution["outputs"]["restored_hosts"]
    found = harbour.data_of(SPARE)
    assert {path: entry for path, entry in entries(found).items() if not path.startswith("app")} == before
    books_agree(found / "app/app.db")
    with sqlite3.connect(found / "app/app.db") as database:
        assert database.execute(SUM).fetchone() == answer
    database.close()


def test_a_lost_host_that_is_not_lost_is_not_replaced(harbour: Harbour) -> None:
    harbour.fleet.run("host", "set", SPARE, "--var", "replaces=h2")
    done = harbour.fleet.run("--json", "run", "start", "disaster_recovery", "--yes", check=False)
    assert done.returncode == 1
    (refused,) = [each for each in json.loads(done.stdout)["runs"] if each["step"] == "lost_is_gone"]
    assert 'replaces "h2", which must be another host that is not online' in refused["error"]
    assert not any(each["step"] == "data" and each["state"] == "succeeded" for each in json.loads(done.stdout)["runs"])


PATCHED = HOSTS[:2]
UNIT_OF_DEMO = "[Service]\\nExecStart=/usr/bin/plg-demod 100000\\n[Install]\\nWantedBy=multi-user.target\\n"


@pytest.fixture(scope="module")
def archive(harbour: Harbour, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An archive of packages whose old versions two hosts have; these start again by themselves after a reboot."""
    folder = tmp_path_factory.mktemp("archive")
    repository.make(folder)
    with repository.serving(folder) as address:
        sources = "".join(f"deb [trusted=yes] {address}/{part} ./\\n" for part in ("main", "security"))
        for host in PATCHED:
            harbour.docker("update", "--restart", "always", host)
            harbour.on(host, "sh", "-c", f"printf '{sources}' > /etc/apt/sources.list; apt-get -q update")
            harbour.on(host, "apt-get", "-q", "install", "-y", "plg-demo=1.0", "plg-bad=1.0", "plg-boot=1.0")
            harbour.on(host, "sh", "-c", f"printf '{UNIT_OF_DEMO}' > /etc/systemd/system/plg-demo.service")
            harbour.on(host, "systemctl", "enable", "--now", "plg-demo")
        yield address


def boot_of(harbour: Harbour, host: str) -> str:
    """Return what differs after each boot of a host."""
    return harbour.on(host, "cut", "-d", " ", "-f", "22", "/proc/1/stat")


def packages_of(harbour: Harbour, host: str) -> dict[str, str]:
    told = harbour.on(host, "dpkg-query", "-W", "-f", "${Package} ${db:Status-Status} ${Version}\\n", "plg-*")
    words = [line.split(" ") for line in told.splitlines()]
    return {name: f"{state} {version}" for name, state, version in words if version}


def test_patch_and_reboot(harbour: Harbour, archive: str) -> None:
    """Only fixes are installed; each host reboots, its attempt outlives that, and its service is up before the next."""
    before = {host: boot_of(harbour, host) for host in PATCHED}
    execution = harbour.run(
        "patch_and_reboot",
        hosts=list(PATCHED),
        services=["plg-demo.service"],
        health_urls=[f"{archive}/main/Release"],
    )
    assert execution["outputs"] == {"patched_hosts": list(PATCHED), "rebooted_hosts": list(PATCHED)}
    for host in PATCHED:
        assert boot_of(harbour, host) != before[host]
        assert packages_of(harbour, host) == {
            "plg-bad": "installed 1.0",
            "plg-boot": "installed 1.1",
            "plg-demo": "installed 1.0",
        }
        assert harbour.on(host, "systemctl", "is-active", "plg-demo").strip() == "active"
    runs = {(run["step"], run["host"]): run for run in execution["runs"]}
    reboots = [runs["patch/reboot", host] for host in PATCHED]
    assert [(run["attempts"], run["outputs"]["rebooted"]) for run in reboots] == [(1, True)] * 2
    assert runs["patch/running", "h1"]["ended_at"] <= runs["patch/upgrade", "h2"]["started_at"]

    nothing = harbour.run("patch_and_reboot", hosts=list(PATCHED))
    assert nothing["outputs"] == {"patched_hosts": [], "rebooted_hosts": []}


def test_a_package_whose_script_fails_stops_the_patching_and_the_next_run_mends_it(
    harbour: Harbour, archive: str
) -> None:
    before = {host: boot_of(harbour, host) for host in PATCHED}
    harbour.on("h1", "touch", str(repository.FAIL_MARK))
    execution = harbour.fails("patch_and_reboot", "-p", f"hosts={','.join(PATCHED)}", "-p", "security_only=false")
    runs = {(run["step"], run["host"]): run for run in execution["runs"]}
    failed = runs["patch/upgrade", "h1"]
    assert (failed["state"], failed["failure_kind"]) == ("failed", "step")
    assert "The scripts of plg-bad failed; once cured, package.repair finishes it" in failed["error"]
    assert packages_of(harbour, "h1")["plg-bad"] == "half-configured 2.0"
    assert packages_of(harbour, "h2")["plg-bad"] == "installed 1.0"
    assert ("patch/upgrade", "h2") not in runs or runs["patch/upgrade", "h2"]["attempts"] == 0

    harbour.on("h1", "rm", str(repository.FAIL_MARK))
    execution = harbour.run("patch_and_reboot", hosts=list(PATCHED), security_only=False)
    assert execution["outputs"] == {"patched_hosts": list(PATCHED), "rebooted_hosts": []}
    (mended,) = [run for run in execution["runs"] if (run["step"], run["host"]) == ("patch/upgrade", "h1")]
    assert mended["outputs"]["repaired"] is True
    for host in PATCHED:
        assert packages_of(harbour, host) == {
            "plg-bad": "installed 2.0",
            "plg-boot": "installed 1.1",
            "plg-demo": "installed 2.0",
        }
        assert boot_of(harbour, host) == before[host]
