"""Images made on the spot from a static busybox: a small web server that tells its version, and ones that fail."""

import hashlib
import io
import json
import os
import tarfile
from pathlib import Path
from typing import Final

from tests.integration.docker.engine_site import REGISTRY, EngineSite

APP: Final = f"{REGISTRY}/shop/app"
_APPLETS: Final = (
    "sh",
    "httpd",
    "sleep",
    "cat",
    "echo",
    "test",
    "touch",
    "rm",
    "env",
    "id",
    "nc",
    "dd",
    "true",
    "false",
)
FIGURES: Final = {"1": 10, "2": 30}
"""What each version tells of itself as `shop_queue` on its page of metrics."""
_SERVE: Final = '["/bin/httpd","-f","-p","8080","-h","/www"]'
_CHECK: Final = "HEALTHCHECK --interval=100ms --timeout=2s --retries=2 CMD test ! -e /sick"


def make_images(site: EngineSite) -> None:
    """Make the images and push those that tests pull. A version's number is its tag."""
    make_base(site)
    _make(site, "bb:other", "other", f"CMD {_SERVE}")
    for version, level in (("1", "one"), ("2", "two")):
        _make(site, f"{APP}:{version}", version, f"CMD {_SERVE}", f"ENV LEVEL={level}", "LABEL v=" + version, _CHECK)
        site.docker("push", "-q", f"{APP}:{version}")
    _make(site, f"{APP}:sick", "sick", f"CMD {_SERVE}", _CHECK, sick=True)
    _make(site, f"{APP}:dies", "dies", 'CMD ["/bin/sh","-c","echo out of luck >&2; exit 3"]', _CHECK)
    site.docker("load", stdin=_of_another_machine(f"{APP}:arm"))


def make_base(site: EngineSite) -> None:
    """Make the image that tests use where any will do."""
    _make(site, "bb:base", "base", f"CMD {_SERVE}", "ENV LEVEL=image")


def push_large(site: EngineSite, reference: str, mebibytes: int) -> None:
    """Push an image of so much that does not compress, and keep nothing of it on the engine."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        entry = tarfile.TarInfo("large")
        entry.size = mebibytes * 1024 * 1024
        tar.addfile(entry, io.BytesIO(os.urandom(entry.size)))
    site.docker("import", "-", reference, stdin=packed.getvalue())
    site.docker("push", "-q", reference)
    site.docker("rmi", "-f", reference)


def digest_of(site: EngineSite, reference: str) -> str:
    """Return the repository digest that the registry gave to an image."""
    found: list[str] = site.ask("GET", f"/images/{reference}/json")["RepoDigests"]
    return found[0].partition("@")[2]


def _make(site: EngineSite, tag: str, version: str, *changes: str, sick: bool = False) -> None:
    flags = [flag for change in changes for flag in ("-c", change)]
    site.docker("import", *flags, "-", tag, stdin=_tree(version, sick=sick))


def _of_another_machine(tag: str) -> bytes:
    """Return an image archive whose configuration says arm64."""
    layer = _tree("arm", sick=False)
    config = json.dumps(
        {
            "architecture": "arm64",
            "os": "linux",
            "config": {"Cmd": ["/bin/sh"]},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
        }
    ).encode()
    manifest = json.dumps([{"Config": "config.json", "RepoTags": [tag], "Layers": ["layer.tar"]}]).encode()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, content in (("config.json", config), ("layer.tar", layer), ("manifest.json", manifest)):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def _tree(version: str, *, sick: bool) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for folder in ("bin", "www", "www/cgi-bin", "tmp", "etc", "data"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        tar.add("/bin/busybox" if Path("/bin/busybox").exists() else "/usr/bin/busybox", "bin/busybox")
        for applet in _APPLETS:
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
        _add(tar, "www/index.html", f"version {version}\n")
        _add(
            tar,
            "www/metrics",
            f'# TYPE shop_queue gauge\nshop_queue {{version="{version}"}} {FIGURES.get(version, 0)}\n',
        )
        # Takes its time, so that there are always requests in flight.
        slow = f"#!/bin/sh\nsleep 0.1\necho -e 'Content-Type: text/plain\\r\\n\\r'\necho version {version}\n"
        _add(tar, "www/cgi-bin/slow", slow, mode=0o755)
        _add(tar, "etc/passwd", "root:x:0:0:root:/:/bin/sh\n")
        if sick:
            _add(tar, "sick", "yes\n")
    return packed.getvalue()


def _add(tar: tarfile.TarFile, name: str, text: str, *, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(text), mode
    tar.addfile(entry, io.BytesIO(text.encode()))
