"""A small archive of packages, made on the spot and served over loopback: a main part and a security part."""

import hashlib
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

FAIL_MARK = Path("/var/plg-fail")
_ASKS_FOR_A_REBOOT = """\
#!/bin/sh
echo "*** System restart required ***" > /run/reboot-required
echo plg-boot >> /run/reboot-required.pkgs
"""
_FAILING = f"""\
#!/bin/sh
if test -s {FAIL_MARK}; then sleep 60; fi
if test -e {FAIL_MARK}; then echo no luck today >&2; exit 1; fi
"""


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


def make(folder: Path) -> None:
    """Build the packages: plg-demo with a conffile and a daemon, plg-sec with a fix, plg-bad whose script may fail,
    plg-boot whose fix asks for a reboot, plg-meta whose newer version needs another package,
    plg-both with a fix below a newer plain version."""
    main, security = folder / "main", folder / "security"
    for part in (main, security):
        part.mkdir(parents=True)
    for version in ("1.0", "2.0"):
        _build(main, "plg-demo", version, conffile=f"setting={version}\n", daemon=True)
        _build(main, "plg-bad", version, postinst=_FAILING)
    _build(main, "plg-sec", "1.0")
    _build(main, "plg-boot", "1.0")
    _build(main, "plg-dep", "1.0", depends="plg-extra")
    _build(main, "plg-extra", "1.0")
    _build(main, "plg-rival", "1.0", conflicts="plg-demo")
    _build(main, "plg-meta", "1.0")
    _build(main, "plg-meta", "2.0", depends="plg-extra")
    _build(security, "plg-sec", "1.1")
    _build(main, "plg-both", "1.0")
    _build(security, "plg-both", "1.1")
    _build(main, "plg-both", "2.0")
    _build(security, "plg-boot", "1.1", postinst=_ASKS_FOR_A_REBOOT)
    _index(main, "Debian")
    _index(security, "Debian-Security")


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serve the archive; gives its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def _build(
    part: Path,
    name: str,
    version: str,
    *,
    conffile: str = "",
    postinst: str = "",
    depends: str = "",
    conflicts: str = "",
    daemon: bool = False,
) -> None:
    tree = part.parent / "tree" / f"{name}-{version}"
    debian = tree / "DEBIAN"
    debian.mkdir(parents=True)
    control = [f"Package: {name}", f"Version: {version}", "Architecture: all", "Maintainer: tests <t@example.org>"]
    control += [f"Depends: {depends}"] if depends else []
    control += [f"Conflicts: {conflicts}"] if conflicts else []
    (debian / "control").write_text("\n".join([*control, f"Description: test {name}", ""]))
    if daemon:
        (tree / "usr/bin").mkdir(parents=True)
        shutil.copy("/bin/sleep", tree / "usr/bin" / f"{name}d")
    share = tree / "usr/share" / name
    share.mkdir(parents=True)
    (share / "version").write_text(version)
    if conffile:
        (tree / "etc").mkdir()
        (tree / "etc" / f"{name}.conf").write_text(conffile)
        (debian / "conffiles").write_text(f"/etc/{name}.conf\n")
    if postinst:
        (debian / "postinst").write_text(postinst)
        (debian / "postinst").chmod(0o755)
    deb = part / f"{name}_{version}_all.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", str(tree), str(deb)], check=True, capture_output=True)
    content = deb.read_bytes()
    with (part / "Packages").open("a") as index:
        index.write("\n".join([*control, f"Filename: ./{deb.name}", f"Size: {len(content)}"]))
        index.write(f"\nSHA256: {hashlib.sha256(content).hexdigest()}\nDescription: test {name}\n\n")


def _index(part: Path, label: str) -> None:
    packages = (part / "Packages").read_bytes()
    digest = hashlib.sha256(packages).hexdigest()
    (part / "Release").write_text(
        f"Origin: Debian\nLabel: {label}\nSuite: stable\nCodename: bookworm\nDate: Sat, 01 Jan 2022 00:00:00 UTC\n"
        f"Architectures: all amd64 arm64\nSHA256:\n {digest} {len(packages)} Packages\n"
    )
