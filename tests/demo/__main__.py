"""`make demo`: back up three hosts for real, kill -9 coordinator and agent in the middle, and prove the result."""

import argparse
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.demo.data import fill_host
from tests.demo.proof import check_restores, count_starts, restore_hint
from tests.fleet.fleet import Fleet, FleetFailed

FOLDER = Path(".demo")
HOSTS = ("db1", "files1", "web1")
VICTIM = "files1"
BLUEPRINT = "fleet_backup_orchestration"


def main() -> int:
    """Run the demo; the exit code is 0 only if everything was proved."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave the coordinator and its agents running")
    keep = parser.parse_args().keep
    began = time.monotonic()
    try:
        _demo(keep)
    except FleetFailed as error:
        print(f"\ndemo failed: {error}", file=sys.stderr)
        return 1
    print(f"\nDone in {time.monotonic() - began:.0f} s.")
    return 0


def _demo(keep: bool) -> None:
    if shutil.which("restic") is None:
        raise FleetFailed("restic is not installed; `make demo` installs it, or: apt-get install restic")
    shutil.rmtree(FOLDER, ignore_errors=True)
    fleet = Fleet(FOLDER.resolve(), HOSTS)
    title("Three hosts with data of their own; each has a database that is being written")
    for seed, host in enumerate(HOSTS):
        fill_host(fleet.data_of(host), seed)
        print(f"  {host}: {fleet.data_of(host)}")
    with _writers(fleet):
        try:
            _set_up(fleet)
            execution = _back_up(fleet)
            _prove(fleet, execution)
        except BaseException:
            fleet.stop()
            raise
    if keep:
        print("\nStill running. Look around with:")
        for name in ("PILOTAGE_SOCKET", "PILOTAGE_STATE_DIR"):
            print(f"  export {name}={fleet.environment[name]}")
        print("  .venv/bin/pilotage run list\n  .venv/bin/pilotage host list\n  .venv/bin/pilotage coordinator stop")
    else:
        fleet.stop()


def title(text: str) -> None:
    """Print the heading of one part."""
    print(f"\n\033[1m== {text}\033[0m" if sys.stdout.isatty() else f"\n== {text}", flush=True)


@contextmanager
def _writers(fleet: Fleet) -> Iterator[None]:
    """Keep writing to every host's database."""
    writers = [
        subprocess.Popen([sys.executable, "-m", "tests.demo.writer", str(fleet.data_of(host) / "app" / "app.db")])
        for host in fleet.hosts
    ]
    try:
        yield
    finally:
        for writer in writers:
            writer.terminate()
            writer.wait()


def _set_up(fleet: Fleet) -> None:
    title("A coordinator, and an agent on each host (mutual TLS, one join token each)")
    fleet.start_coordinator()
    for host in fleet.hosts:
        fleet.join(host)
    fleet.await_online()
    vault = fleet.folder / "vault"
    for host in fleet.hosts:
        data = fleet.data_of(host)
        roots = f'["{data}/files", "{data}/media", "{data}/app"]'
        fleet.run("host", "set", host, "--label", "backup=yes", "--var", f"backup_roots={roots}")
        fleet.run("secret", "set", f"restic/{host}", input=f"a password for {host}")
    vault.mkdir()
    fleet.show("host", "list")


def _back_up(fleet: Fleet) -> str:
    parameters = [
        "-p", f"repository={fleet.folder}/vault/{{host}}",
        "-p", "password=secret://restic/{host}",
        "-p", "read_data=full",
        "-p", "at_once=2",
    ]  # fmt: skip
    title("The plan: nothing has been changed yet")
    if fleet.show("plan", BLUEPRINT, *parameters):
        raise FleetFailed("there is no plan")
    title("The run; in the middle the coordinator and one agent are killed with kill -9")
    saboteur = threading.Thread(target=_sabotage, args=(fleet,), name="saboteur")
    saboteur.start()
    code = fleet.show("run", "start", BLUEPRINT, "--yes", *parameters)
    saboteur.join()
    (execution,) = (each["id"] for each in fleet.json("run", "list") if each["blueprint"] == BLUEPRINT)
    if code:
        raise FleetFailed(f"the backup ended with exit code {code}; see `pilotage run show {execution}`")
    return str(execution)


def _sabotage(fleet: Fleet) -> None:
    """Kill the coordinator once a backup is being made, then the agent of a host in the middle of its steps."""
    _await_running(fleet, lambda step, host: step.endswith("/volumes"))
    pid = fleet.coordinator.kill()
    print(f"\n  *** kill -9 {pid}: the coordinator is dead; steps on hosts go on ***\n", flush=True)
    time.sleep(1.0)
    fleet.start_coordinator()
    print("\n  *** the coordinator is back, and asks the agents' journals what happened ***\n", flush=True)
    _await_running(fleet, lambda step, host: host == VICTIM and "/" in step)
    pid = fleet.agents[VICTIM].kill()
    print(f"\n  *** kill -9 {pid}: the agent of {VICTIM} is dead; its worker goes on ***\n", flush=True)
    time.sleep(1.0)
    fleet.agents[VICTIM].start()
    print(f"\n  *** the agent of {VICTIM} is back, and finds its worker or its outcome ***\n", flush=True)


def _await_running(fleet: Fleet, wanted: Callable[[str, str], bool]) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        for execution in fleet.json("run", "list"):
            shown = fleet.json("run", "show", str(execution["id"]))
            if any(each["state"] == "running" and wanted(each["step"], each["host"]) for each in shown["runs"]):
                return
            if shown["ended_at"]:
                return
        time.sleep(0.05)


def _prove(fleet: Fleet, execution: str) -> None:
    title("Proof 1: every step that must not be repeated was started once (from the agents' journals)")
    for line in count_starts(fleet, execution):
        print(f"  {line}")
    title("Proof 2: restored by plain restic, without Pilotage, and compared byte for byte")
    for line in check_restores(fleet):
        print(f"  {line}")
    title("If Pilotage is gone, restic alone brings everything back")
    for line in restore_hint(fleet):
        print(f"  {line}")


if __name__ == "__main__":
    sys.exit(main())
