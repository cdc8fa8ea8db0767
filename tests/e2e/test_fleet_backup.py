"""The shipped backup blueprints on a real fleet whose hosts may only add to the vault, and a keeper who may delete."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.fleet.books import violations
from tests.fleet.fleet import Fleet
from tests.integration.restic.rest_server import running_rest_server

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

SAVED = ("web1", "web2")
PASSWORD = b"canary 3391 of the vault"


class Site:
    """The fleet, and the vault as hosts and as the keeper reach it."""

    def __init__(self, fleet: Fleet, vaults: Path, port: int) -> None:
        self.fleet = fleet
        self.vaults = vaults
        self.hosts = f"rest:http://127.0.0.1:{port}/{{host}}"
        self.keeper = f"{vaults}/{{host}}"

    def start(self, blueprint: str, exit_code: int = 0, **parameters: Any) -> Any:
        """Run a blueprint to its end and return the execution."""
        arguments = ["run", "start", blueprint, "--yes"]
        for name, value in parameters.items():
            arguments += ["-p", f"{name}={value if isinstance(value, str) else json.dumps(value)}"]
        done = self.fleet.run("--json", *arguments, check=False)
        assert done.returncode == exit_code, f"{done.stdout[-3000:]}{done.stderr[-3000:]}"
        assert PASSWORD.decode() not in done.stdout
        execution = json.loads(done.stdout)["id"]
        return self.fleet.call(lambda client: client.show_run(execution))

    def back_up(self, **more: Any) -> Any:
        """Run the fleet's backup."""
        given = {"hosts": "web1,web2", "repository": self.hosts, "kinds": ["volumes", "databases"], **more}
        return self.start("fleet_backup_orchestration", **given)

    def host(self, name: str) -> Any:
        """Return what is known of a host."""
        return self.fleet.call(lambda client: client.show_host(name))

    def database(self, host: str) -> Path:
        """Return a host's database."""
        return self.fleet.data_of(host) / "shop.db"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("backup")
    with running_rest_server(folder / "vaults", "--append-only") as port:
        fleet = Fleet(folder / "fleet", (*SAVED, "keeper"))
        site = Site(fleet, folder / "vaults", port)
        try:
            fleet.start_coordinator()
            for host in fleet.hosts:
                fleet.join(host)
            fleet.await_online()
            fleet.call(lambda client: client.set_secret("backup/password", PASSWORD, [{}]))
            for host in SAVED:
                data = fleet.data_of(host)
                data.mkdir(parents=True)
                (data / "page").write_text(f"of {host}")
                with closing(sqlite3.connect(site.database(host))) as database:
                    database.executescript("CREATE TABLE orders (id INTEGER); INSERT INTO orders VALUES (41), (42);")
                fleet.run("host", "set", host, "--var", f"backup_roots={json.dumps([str(data)])}")
            yield site
            fleet.stop()
            assert violations(fleet) == []
        finally:
            fleet.stop()


def outputs_of(execution: Any, step: str) -> dict[str, Any]:
    """Return the outputs of a step by host and item."""
    return {f"{run['host']}{run['item']}": run["outputs"] for run in execution["runs"] if run["step"] == step}


def test_hosts_that_may_only_add_are_backed_up_and_drilled_and_the_keeper_prunes(site: Site) -> None:
    first = site.back_up()
    assert first["state"] == "completed"
    outputs = first["outputs"]
    assert (outputs["backed_up_hosts"], outputs["failed_hosts"]) == (list(SAVED), [])
    assert len(outputs["drilled_hosts"]) == 1
    assert len(outputs["restore_with"]) == 4
    assert all(" restore " in command and "PASSWORD" in command for command in outputs["restore_with"])
    assert outputs["warnings"] == []
    assert {host: found["total"] for host, found in outputs_of(first, "report").items()} == {"web1": 2, "web2": 2}

    refused = site.back_up(keep={"last": 1}, drill=False)
    assert refused["state"] == "completed"
    assert ["nothing was pruned" in warning for warning in refused["outputs"]["warnings"]] == [True, True]
    pruned = site.back_up(keep={"last": 1}, drill=False, prune_on=["keeper"], prune_repository=site.keeper)
    assert {host: found["removed"] for host, found in outputs_of(pruned, "prune_apart").items()} == {
        "keeperweb1": 4,
        "keeperweb2": 4,
    }
    assert {host: found["total"] for host, found in outputs_of(pruned, "report").items()} == {"web1": 2, "web2": 2}

    site.back_up(prune=False, drill=False)
    kept = site.start(
        "backup_prune", keeper="keeper", hosts="web1,web2", repository=site.keeper, keep={"last": 1},
        password="secret://backup/password",
    )  # fmt: skip
    assert kept["outputs"] == {"removed": 4, "kept": 4}


def test_a_drill_of_a_database_asks_it_and_is_the_proof_of_its_host(site: Site) -> None:
    drilled = site.start(
        "database_restore_drill", host="web2", database=str(site.database("web2")), on="keeper", repository=site.hosts,
        query="SELECT max(id) FROM orders",
    )  # fmt: skip
    assert "42" in drilled["outputs"]["answer"]
    assert 0 < drilled["outputs"]["rpo_s"] < 3600
    shown, keeper = site.host("web2"), site.host("keeper")
    assert shown["last_drill"]["execution"] == drilled["id"]
    assert shown["last_drill"]["detail"]["rto_s"] == drilled["outputs"]["rto_s"]
    assert shown["last_backup"]["detail"]["snapshot_id"]
    assert (keeper["last_drill"], keeper["last_backup"]) == (None, None)
    assert "ago" in site.fleet.run("host", "list").stdout


def test_a_drill_that_fails_keeps_its_evidence_on_the_execution(site: Site) -> None:
    before = site.host("web1")
    for pack in Path(site.vaults, "web1", "data").glob("*/*"):
        content = bytearray(pack.read_bytes())
        content[len(content) // 2] ^= 1
        pack.chmod(0o600)
        pack.write_bytes(content)
    failed = site.start(
        "database_restore_drill", 1, host="web1", database=str(site.database("web1")), repository=site.hosts,
    )  # fmt: skip
    [found] = outputs_of(failed, "drill").values()
    assert not found["identical"]
    assert found["rpo_s"] > 0
    assert found["snapshots"][0]["problem"]
    after = site.host("web1")
    assert after["last_failed_drill"]["execution"] == failed["id"]
    assert (after["last_drill"], after["last_backup"]) == (before["last_drill"], before["last_backup"])
