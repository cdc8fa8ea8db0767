"""A Docker Engine with a registry beside it, in a network namespace of the tests' own; started and ended by pid."""

import contextlib
import ctypes
import http.client
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

REGISTRY: Final = "127.0.0.1:5055"
NEEDED: Final = {
    "dockerd": "docker.io",
    "docker": "docker.io",
    "docker-registry": "docker-registry",
    "busybox": "busybox-static",
    "iptables": "iptables",
    "ip": "iproute2",
}
_CLONE_NEWNET: Final = 0x40000000


def why_not() -> str:
    """Say why this machine cannot run an engine for tests; empty when it can."""
    if os.geteuid() != 0:
        return "a Docker Engine of the tests' own needs root"
    missing = sorted({package for program, package in NEEDED.items() if shutil.which(program) is None})
    if missing:
        return f"needs {', '.join(missing)}: tools/setup daemons {' '.join(missing)}"
    tried = subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False)
    return "" if tried.returncode == 0 else "this machine does not let us make network namespaces"


class EngineSite:
    """The engine. `address` is its socket as a URL; containers and ports are reached from inside the namespace."""

    def __init__(self, folder: Path, namespace: str) -> None:
        self.folder = folder
        self.namespace = namespace
        self.socket = folder / "docker.sock"
        self.address = f"unix://{self.socket}"

    def docker(self, *argv: str, check: bool = True, stdin: bytes | None = None) -> str:
        """Run the docker program and return what it printed."""
        done = subprocess.run(["docker", "-H", self.address, *argv], capture_output=True, input=stdin, timeout=60)
        if check and done.returncode:
            raise AssertionError(f"docker {' '.join(argv)}: {done.stderr.decode()}")
        return done.stdout.decode().strip()

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Make one request to the engine; what is not there is None."""
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with contextlib.closing(connection):
            connection.sock.connect(str(self.socket))
            sent = None if body is None else json.dumps(body)
            connection.request(method, path, sent, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read()
        if answer.status == 404:
            return None
        if answer.status >= 400:
            raise AssertionError(f"{method} {path}: {answer.status} {text.decode()}")
        return json.loads(text) if text else None

    def inspect(self, name: str) -> dict[str, Any]:
        """Return what the engine says about a container."""
        found: dict[str, Any] | None = self.ask("GET", f"/containers/{name}/json")
        assert found is not None, f"there is no container {name}"
        return found

    def said(self, name: str) -> str:
        """Return the last that a container has written, to either stream."""
        asked = ["docker", "-H", self.address, "logs", "--tail", "50", name]
        return subprocess.run(asked, capture_output=True, timeout=60, check=False).stderr.decode()

    def names(self) -> set[str]:
        """Return the names of all containers."""
        return {one["Names"][0].lstrip("/") for one in self.ask("GET", "/containers/json?all=1")}

    def picture(self) -> dict[str, Any]:
        """Return all that a step may change on the engine, to see whether it did."""
        containers = {
            one["Id"]: (one["Names"], one["State"], one["ImageID"]) for one in self.ask("GET", "/containers/json?all=1")
        }
        networks = {one["Id"]: one["Name"] for one in self.ask("GET", "/networks")}
        volumes = sorted(one["Name"] for one in self.ask("GET", "/volumes")["Volumes"] or ())
        images = {one["Id"]: one["RepoTags"] for one in self.ask("GET", "/images/json")}
        return {"containers": containers, "networks": networks, "volumes": volumes, "images": images}

    def remove_everything(self) -> None:
        """Remove every container, network and volume that a test made."""
        for one in self.ask("GET", "/containers/json?all=1"):
            self.ask("DELETE", f"/containers/{one['Id']}?force=1&v=1")
        for one in self.ask("GET", "/networks"):
            if one["Name"] not in ("bridge", "host", "none"):
                self._remove_network(one["Id"])
        for one in self.ask("GET", "/volumes")["Volumes"] or ():
            self.ask("DELETE", f"/volumes/{one['Name']}")
        for one in self.ask("GET", "/images/json"):
            if (one["Labels"] or {}).get("io.pilotage.attempt"):
                self.ask("DELETE", f"/images/{one['Id']}?force=1")

    def _remove_network(self, identity: str) -> None:
        # An engine under load may keep the endpoint of a container that is gone already; such a one is cut first.
        for endpoint in (self.ask("GET", f"/networks/{identity}") or {}).get("Containers", {}):
            self.docker("network", "disconnect", "--force", identity, endpoint, check=False)
        self.ask("DELETE", f"/networks/{identity}")

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """Let sockets that this thread opens live in the engine's namespace, as those of an agent on its host do."""
        with Path("/proc/thread-self/ns/net").open("rb") as ours, Path("/run/netns", self.namespace).open("rb") as its:
            _enter(its.fileno())
            try:
                yield
            finally:
                _enter(ours.fileno())


@contextlib.contextmanager
def engine_site(*, registry: Path | None = None, small_disk: str = "") -> Iterator[EngineSite]:
    """Start an engine and its registry; nothing of it is left afterwards.

    `registry` is a folder that another one's registry has filled. `small_disk`, such as `64m`, is the size of a disk
    of its own for the engine's data.
    """
    folder = Path(tempfile.mkdtemp(prefix="pilotage-engine-"))
    namespace = f"p{folder.name[-8:]}"
    site = EngineSite(folder, namespace)
    daemons: list[subprocess.Popen[bytes]] = []
    _run("ip", "netns", "add", namespace)
    try:
        _run("ip", "-n", namespace, "link", "set", "lo", "up")
        if small_disk:
            (folder / "data").mkdir()
            _run("mount", "-t", "tmpfs", "-o", f"size={small_disk}", "tmpfs", str(folder / "data"))
        config = _registry_config(folder, registry or folder / "registry")
        daemons.append(_start(site, "registry", "docker-registry", "serve", str(config)))
        daemons.append(
            _start(
                site, "dockerd", "dockerd", "--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec",
                "-p", f"{folder}/pid", "-H", site.address, "--shutdown-timeout", "1",
                "--max-download-attempts", "1",
            )
        )  # fmt: skip
        _wait_for(site)
        yield site
    finally:
        _end(site, daemons)


def _start(site: EngineSite, name: str, *argv: str) -> "subprocess.Popen[bytes]":
    """Start a daemon inside the namespace. `ip netns exec` would remount /sys, and dockerd would die of it."""
    with (site.folder / f"{name}.log").open("wb") as log:
        return subprocess.Popen(
            ["nsenter", f"--net=/run/netns/{site.namespace}", *argv], stdout=log, stderr=log, start_new_session=True
        )


def _registry_config(folder: Path, images: Path) -> Path:
    config = folder / "registry.yml"
    config.write_text(
        "version: 0.1\nlog: {level: error}\n"
        f"storage: {{filesystem: {{rootdirectory: {images}}}, delete: {{enabled: true}}}}\n"
        f"http: {{addr: '{REGISTRY}'}}\n"
    )
    return config


def _wait_for(site: EngineSite) -> None:
    give_up = time.monotonic() + 30
    while subprocess.run(["docker", "-H", site.address, "version"], capture_output=True, check=False).returncode:
        if time.monotonic() > give_up:
            raise AssertionError((site.folder / "dockerd.log").read_text()[-4000:])
        time.sleep(0.05)


def _end(site: EngineSite, daemons: list["subprocess.Popen[bytes]"]) -> None:
    with contextlib.suppress(AssertionError, subprocess.TimeoutExpired):
        if containers := site.docker("ps", "-aq", check=False).split():
            site.docker("rm", "-f", *containers, check=False)
    for daemon in reversed(daemons):
        daemon.terminate()
        try:
            daemon.wait(20)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()
    # The engine pins its namespace by a mount that would outlive it.
    for mount in (site.folder / "exec/netns/default", site.folder / "data/overlay2", site.folder / "data"):
        subprocess.run(["umount", "-l", str(mount)], check=False, capture_output=True)
    subprocess.run(["ip", "netns", "delete", site.namespace], check=False, capture_output=True)
    shutil.rmtree(site.folder, ignore_errors=True)


def _enter(namespace: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def _run(*argv: str) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30)
    if done.returncode:
        raise AssertionError(f"{argv}: {done.stderr}")
