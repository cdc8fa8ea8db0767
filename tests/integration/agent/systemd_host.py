"""A host with systemd as a container of a Docker Engine of the tests' own, in a network namespace of its own."""

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

REPOSITORY = Path(__file__).resolve().parents[3]
_IS_DEBIANS_PYTHON = sys.base_prefix == "/usr"
"""Then the host's tree gets one too: whoever mounts a whole /usr hides its systemd."""

IMAGE = "pilotage-test-systemd:12"
PACKAGES = "systemd,systemd-sysv,dbus,libssl3,libsqlite3-0,libffi8,zlib1g,libbz2-1.0,liblzma5,libreadline8"
NEEDED = ("dockerd", "docker", "debootstrap", "nsenter", "ip")


def why_not() -> str:
    """Say why this machine cannot play a systemd host; empty when it can."""
    if os.geteuid() != 0:
        return "needs root"
    missing = [name for name in NEEDED if shutil.which(name) is None]
    return f"needs {', '.join(missing)}" if missing else ""


class Docker(Protocol):
    """Whoever runs the docker program on an engine of the tests' own."""

    def docker(self, *argv: str, check: bool = True, seconds: float = 120) -> "subprocess.CompletedProcess[str]":
        """Run it and return what it said."""


class SystemdHost:
    """One container that boots systemd."""

    def __init__(self, engine: Docker, name: str) -> None:
        self._engine = engine
        self.name = name

    def run(self, *argv: str, check: bool = True, seconds: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a program on the host."""
        done = self._engine.docker("exec", self.name, *argv, check=False, seconds=seconds)
        if check and done.returncode:
            journal = self._engine.docker(
                "exec", self.name, "journalctl", "--no-pager", "-n", "40", check=False, seconds=20
            )
            raise AssertionError(f"{argv}: {done.stdout}{done.stderr}\n{journal.stdout}")
        return done

    def lose_power(self) -> None:
        """End everything on the host at once, then boot it again."""
        self._engine.docker("kill", "--signal", "KILL", self.name)
        self._engine.docker("start", self.name)
        self.wait_until_booted()

    def wait_until_booted(self) -> None:
        """Wait until systemd has started everything."""
        give_up = time.monotonic() + 60
        while time.monotonic() < give_up:
            state = self.run("systemctl", "is-system-running", check=False).stdout.strip()
            if state in ("running", "degraded"):
                return
            time.sleep(0.2)
        raise AssertionError(f"the container does not boot: {state}")


def boot(engine: Docker, name: str, *volumes: str) -> SystemdHost:
    """Start a systemd host with these volumes (SOURCE:TARGET[:ro]) in the engine's own network."""
    engine.docker(
        "run", "-d", "--name", name, "--network", "host", "--cap-add", "SYS_ADMIN", "--cap-add", "SYS_PTRACE",
        "--stop-signal", "SIGRTMIN+3", "--tmpfs", "/run", "--tmpfs", "/tmp",
        "-v", "/sys/fs/cgroup:/sys/fs/cgroup:ro", *(part for each in volumes for part in ("-v", each)),
        IMAGE, "/sbin/init",
    )  # fmt: skip
    host = SystemdHost(engine, name)
    host.wait_until_booted()
    return host


def installation() -> Iterator[str]:
    """Return the volumes by which a host has this checkout and its Python, read-only, under their own names."""
    yield f"{REPOSITORY}:{REPOSITORY}:ro"
    if not _IS_DEBIANS_PYTHON:
        yield f"{sys.base_prefix}:{sys.base_prefix}:ro"


class Engine:
    """A dockerd in a namespace. `address` is this side's end of the wire into it."""

    def __init__(self, folder: Path, namespace: str) -> None:
        self._socket = f"unix://{folder}/docker.sock"
        # Several engines live at once when tests run in several processes: each wire has a network of its own.
        self.address, self._other_end = _ends_of_the_wire()
        self.namespace = namespace

    def docker(self, *argv: str, check: bool = True, seconds: float = 120) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["docker", "-H", self._socket, *argv], capture_output=True, text=True, check=check, timeout=seconds
        )

    def boot(self, name: str) -> SystemdHost:
        """Start a systemd host that can run this installation of Pilotage."""
        return boot(self, name, *installation())


@contextlib.contextmanager
def engine() -> Iterator[Engine]:
    """Start a Docker Engine with the image of a systemd host; all of it is gone afterwards, but the image's tree."""
    namespace = f"plg{os.getpid()}"
    folder = Path(tempfile.mkdtemp(prefix="pilotage-docker-"))
    _run("ip", "netns", "add", namespace)
    daemon: subprocess.Popen[bytes] | None = None
    made = Engine(folder, namespace)
    try:
        _wire(namespace, made.address, made._other_end)
        with (folder / "dockerd.log").open("wb") as log:
            daemon = subprocess.Popen(
                [
                    "nsenter", f"--net=/run/netns/{namespace}", "dockerd", "--data-root", str(folder / "data"),
                    "--exec-root", str(folder / "exec"), "-p", str(folder / "pid"), "-H", made._socket,
                    "--bridge=none", "--iptables=false", "--ip6tables=false",
                ],
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        _wait_for(made, folder)
        import_image(made._socket)
        yield made
    finally:
        if daemon is not None:
            _end(made, daemon)
        # The engine pins its namespace by a mount; without this the wire outlives us, and its address.
        for argv in (
            ["umount", "-l", str(folder / "exec/netns/default")],
            ["ip", "link", "delete", _wire_name()],
            ["ip", "netns", "delete", namespace],
        ):
            subprocess.run(argv, check=False, capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)


def _wire_name() -> str:
    return f"plg{os.getpid()}"[:15]


def _ends_of_the_wire() -> tuple[str, str]:
    """Return the two addresses of a network of four, out of 10.254.0.0/16, that this process alone uses."""
    third, fourth = divmod(os.getpid() % 16_384 * 4, 256)
    return f"10.254.{third}.{fourth + 1}", f"10.254.{third}.{fourth + 2}"


def _wire(namespace: str, address: str, other_end: str) -> None:
    ours = _wire_name()
    _run("ip", "-n", namespace, "link", "set", "lo", "up")
    _run("ip", "link", "add", ours, "type", "veth", "peer", "name", "eth9", "netns", namespace)
    _run("ip", "address", "add", f"{address}/30", "dev", ours)
    _run("ip", "link", "set", ours, "up")
    _run("ip", "-n", namespace, "address", "add", f"{other_end}/30", "dev", "eth9")
    _run("ip", "-n", namespace, "link", "set", "eth9", "up")


def _wait_for(made: Engine, folder: Path) -> None:
    give_up = time.monotonic() + 30
    while time.monotonic() < give_up:
        if made.docker("version", check=False).returncode == 0:
            return
        time.sleep(0.1)
    raise AssertionError((folder / "dockerd.log").read_text()[-4000:])


def import_image(address: str) -> None:
    """Give the engine at this address the image of a systemd host.

    To be called in this machine's own network: the first time, the image's tree comes from Debian.
    """
    tree = _tree()
    packed = subprocess.Popen(["tar", "-C", str(tree), "-c", "."], stdout=subprocess.PIPE)
    subprocess.run(
        ["docker", "-H", address, "import", "-", IMAGE], stdin=packed.stdout, check=True, capture_output=True
    )
    assert packed.stdout is not None
    packed.stdout.close()
    packed.wait()


def _tree() -> Path:
    """Return a Debian tree with systemd, made once on this machine."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pilotage-tests"
    name, packages = ("systemd-12-python", f"{PACKAGES},python3") if _IS_DEBIANS_PYTHON else ("systemd-12", PACKAGES)
    tree = base / name
    base.mkdir(parents=True, exist_ok=True)
    # Test files that need it run beside each other.
    with (base / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (tree / "sbin/init").exists():
            shutil.rmtree(tree, ignore_errors=True)
            draft = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=base))
            _run("debootstrap", "--variant=minbase", f"--include={packages}", "bookworm", str(draft), seconds=600)
            draft.chmod(0o755)
            draft.rename(tree)
    return tree


def _end(made: Engine, daemon: "subprocess.Popen[bytes]") -> None:
    listed = made.docker("ps", "-aq", check=False).stdout.split()
    if listed:
        made.docker("rm", "-f", *listed, check=False)
    daemon.terminate()
    try:
        daemon.wait(30)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()


def _run(*argv: str, seconds: float = 60) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=seconds)
    if done.returncode:
        raise AssertionError(f"{argv}: {done.stdout[-2000:]}{done.stderr}")


def program() -> str:
    """Return the path of the pilotage-agent command of this installation."""
    return str(Path(sys.executable).parent / "pilotage-agent")
