"""`make demo`: back up three hosts for real, kill -9 coordinator and agent in the middle, and prove the result.

While backups are made, each host runs a step that must not be repeated and that is under way through every kill.
"""

import argparse
import asyncio
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pilotage_client import ClientError, PilotageClient
from pilotage_client.answers import SecretGrant
from pilotage_coordinator.cli.commands.apply import read_digest
from pilotage_coordinator.cli.render.line import Line
from pilotage_coordinator.cli.screen import Screen
from pilotage_coordinator.cli.watching import watch

from tests.demo.data import fill_host
from tests.demo.proof import check_charges, check_journals, check_restores, restore_hint
from tests.fleet.fleet import Fleet, FleetFailed
from tests.fleet.process import stop_left_behind

FOLDER = Path(".demo")
HOSTS = ("db1", "files1", "web1")
VICTIM = "files1"
BLUEPRINT = Path(__file__).with_name("demo.yaml")
ONCE = "charge"
"""The step of the blueprint that must not be repeated."""


def main() -> int:
    """Run the demo; the exit code is 0 only if everything was proved."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave the coordinator and its agents running")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where everything is; emptied first")
    given = parser.parse_args()
    began = time.monotonic()
    try:
        _demo(given.folder.resolve(), keep=given.keep)
    except FleetFailed as error:
        print(f"\ndemo failed: {error}", file=sys.stderr)
        return 1
    print(f"\nDone in {time.monotonic() - began:.0f} s.")
    return 0


def _demo(folder: Path, *, keep: bool) -> None:
    if shutil.which("restic") is None:
        raise FleetFailed("restic is not installed; `make demo` installs it, or: apt-get install restic")
    if ended := stop_left_behind(folder):
        print(f"Ended what an earlier demo had left running (processes {', '.join(map(str, ended))}).")
    shutil.rmtree(folder, ignore_errors=True)
    fleet = Fleet(folder, HOSTS)
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
        for host in HOSTS:
            fleet.agents[host].start()
        fleet.await_online()
        title("Still running; look around with")
        print(f"  export PILOTAGE_SOCKET={fleet.socket} PATH=$PWD/.venv/bin:$PATH")
        for command in ("run show last", "logs last drill", "host show db1", "exec -l backup=yes -- uptime"):
            print(f"  pilotage {command}")
        print("and end it with (another `make demo` does it, too)")
        print("  pilotage coordinator stop --yes; kill " + " ".join(str(each.pid) for each in fleet.agents.values()))
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
    fleet.call(lambda client: _describe_hosts(client, fleet))
    (fleet.folder / "vault").mkdir()
    accounts(fleet).mkdir()
    fleet.show("host", "list")


def accounts(fleet: Fleet) -> Path:
    """Return the folder where the step that must not be repeated leaves its mark on each host."""
    return fleet.folder / "accounts"


async def _describe_hosts(client: PilotageClient, fleet: Fleet) -> None:
    """Say what to back up on each host, and store the password of its repository."""
    for host in fleet.hosts:
        data = fleet.data_of(host)
        roots = [f"{data}/{each}" for each in ("files", "media", "app")]
        await client.set_host(host, labels={"backup": "yes"}, variables={"backup_roots": roots})
        # The backup's own steps on this one host may use it, whatever else runs.
        own: SecretGrant = {"step_types": ["backup.*", "restore.*"], "hosts": f"name={host}"}
        await client.set_secret(f"restic/{host}", f"a password for {host}".encode(), [own])


def _back_up(fleet: Fleet) -> str:
    parameters = [
        "-p", f"folder={accounts(fleet)}",
        "-p", f"repository={fleet.folder}/vault/{{host}}",
        "-p", "password=secret://restic/{host}",
    ]  # fmt: skip
    title("The plan: what will happen, on which host, in which order")
    plan = fleet.folder / "backup.plan"
    if fleet.show("plan", "-f", str(BLUEPRINT), *parameters, "-o", str(plan)):
        raise FleetFailed("there is no plan")
    title("The run; in the middle the coordinator and one agent are killed with kill -9")
    told: list[Line] = []
    saboteur = Saboteur(fleet, told)
    saboteur.start()
    code = asyncio.run(_apply(fleet, plan, told))
    saboteur.join()
    if saboteur.failure:
        raise FleetFailed(saboteur.failure)
    (execution,) = (each["id"] for each in fleet.json("run", "list"))
    if code:
        raise FleetFailed(f"the backup ended with exit code {code}; see `pilotage run show {execution}`")
    return str(execution)


async def _apply(fleet: Fleet, plan: Path, told: list[Line]) -> int:
    """Start exactly the plan and watch it, as `pilotage apply` does; `told` goes above the moving picture."""
    screen = Screen.of_process(json=False)
    async with PilotageClient(socket=fleet.socket) as client:
        started = await client.start_run(plan_digest=read_digest(plan), reason="the demo")
        return await watch(client, screen, started["execution"], until_rest=True, notices=told)


class Saboteur(threading.Thread):
    """Kills the coordinator once a backup is being made, then the agent of a host in the middle of its steps.

    The step that must not be repeated runs through all of it: it ends when the bell rings, after the last kill.
    """

    def __init__(self, fleet: Fleet, told: list[Line]) -> None:
        super().__init__(name="saboteur", daemon=True)
        self.failure = ""
        """Why nothing, or not all, was killed."""
        self._fleet = fleet
        self._told = told

    def run(self) -> None:
        """Kill, wait a moment, start again, twice."""
        try:
            self._kill_coordinator()
            self._kill_agent()
        except (FleetFailed, ClientError) as error:
            self.failure = f"the kill -9 in the middle did not go as it must: {error}"
        finally:
            (accounts(self._fleet) / "bell").touch()

    def _kill_coordinator(self) -> None:
        fleet = self._fleet
        _await_running(fleet, ONCE, *HOSTS)
        _await_running(fleet, "backup/protect/volumes")
        pid = fleet.coordinator.kill()
        self._say(f"*** kill -9 {pid}: the coordinator is dead; steps on hosts go on")
        time.sleep(1.0)
        fleet.start_coordinator()
        self._say("*** the coordinator was started again, and asks the agents' journals what happened")

    def _kill_agent(self) -> None:
        fleet = self._fleet
        _await_running(fleet, ONCE, VICTIM)
        pid = fleet.agents[VICTIM].kill()
        self._say(f"*** kill -9 {pid}: the agent of {VICTIM} is dead; what it had begun goes on")
        time.sleep(1.0)
        fleet.agents[VICTIM].start()
        fleet.await_online([VICTIM])
        self._say(f"*** the agent of {VICTIM} was started again, and finds its worker or what it left")

    def _say(self, text: str) -> None:
        if sys.stdin.isatty() and sys.stderr.isatty():
            self._told.append(Line(text, "bold magenta"))
        else:
            print(text, flush=True)


def _await_running(fleet: Fleet, step: str, *hosts: str) -> None:
    """Wait until a step whose path begins so runs, on all these hosts (on any, without them).

    Raises FleetFailed when everything is over before.
    """
    until = time.monotonic() + 120
    while time.monotonic() < until:
        for each in fleet.call(lambda client: client.list_runs()):
            shown = fleet.call(lambda client, execution=each["id"]: client.show_run(execution))  # type: ignore[misc]
            on = {run["host"] for run in shown["runs"] if run["state"] == "running" and run["step"].startswith(step)}
            if on and on.issuperset(hosts):
                return
            if shown["ended_at"]:
                raise FleetFailed("the run was over before there was anything to kill")
        time.sleep(0.05)
    raise FleetFailed("for two minutes there was nothing to kill")


def _prove(fleet: Fleet, execution: str) -> None:
    title("Proof 1: what must not happen twice happened once on each host (by the mark that the step itself leaves)")
    for line in check_charges(fleet, accounts(fleet)):
        print(f"  {line}")
    title("Proof 2: everything else ran once, and nothing that the coordinator does not know (by the agents' journals)")
    shown = fleet.json("run", "show", execution, "--all")
    plan = fleet.json("plan", shown["plan_digest"])
    for agent in fleet.agents.values():
        agent.stop()
    for line in check_journals(fleet, shown, plan):
        print(f"  {line}")
    title("Proof 3: restored by plain restic, without Pilotage, and compared byte for byte")
    for line in check_restores(fleet):
        print(f"  {line}", flush=True)
    title("Should Pilotage be gone, restic alone brings everything back (proof 3 typed these lines)")
    for line in restore_hint(fleet):
        print(f"  {line}")
    title("Where everything is")
    print(f"  the backups        {fleet.folder}/vault")
    print(f"  what was restored  {fleet.folder}/restored")
    print(f"  logs               {fleet.folder}/logs")


if __name__ == "__main__":
    sys.exit(main())
