"""Images made on the spot from a static busybox: a small web server that tells its version, and ones that fail."""

import io
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
_SERVE: Final = '["/bin/httpd","-f","-p","8080","-h","/www"]'
_CHECK: Final = "HEALTHCHECK --interval=100ms --timeout=2s --retries=2 CMD test ! -e /sick"


def make_images(site: EngineSite) -> None:
    """Make the images and push those that tests pull. A version's number is its tag."""
    _make(site, "bb:base", "base", f"CMD {_SERVE}", "ENV LEVEL=image")
    for version, level in (("1", "one"), ("2", "two")):
        _make(site, f"{APP}:{version}", version, f"CMD {_SERVE}", f"ENV LEVEL={level}", "LABEL v=" + version, _CHECK)
        site.docker("push", "-q", f"{APP}:{version}")
    _make(site, f"{APP}:sick", "sick", f"CMD {_SERVE}", _CHECK, sick=True)
    _make(site, f"{APP}:dies", "dies", 'CMD ["/bin/sh","-c","echo out of luck >&2; exit 3"]', _CHECK)
    _make(site, f"{APP}:arm", "arm", f"CMD {_SERVE}", platform="linux/arm64")


def digest_of(site: EngineSite, reference: str) -> str:
    """Return the repository digest that the registry gave to an image."""
    found: list[str] = site.inspect(reference)["RepoDigests"]
    return found[0].partition("@")[2]


def _make(site: EngineSite, tag: str, version: str, *changes: str, sick: bool = False, platform: str = "") -> None:
    flags = [flag for change in changes for flag in ("-c", change)]
    if platform:
        flags += ["--platform", platform]
    site.docker("import", *flags, "-", tag, stdin=_tree(version, sick=sick))


def _tree(version: str, *, sick: bool) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for folder in ("bin", "www", "tmp", "etc", "data"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        tar.add("/bin/busybox" if Path("/bin/busybox").exists() else "/usr/bin/busybox", "bin/busybox")
        for applet in _APPLETS:
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
        _add(tar, "www/index.html", f"version {version}\n")
        _add(tar, "etc/passwd", "root:x:0:0:root:/:/bin/sh\n")
        if sick:
            _add(tar, "sick", "yes\n")
    return packed.getvalue()


def _add(tar: tarfile.TarFile, name: str, text: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(text), 0o644
    tar.addfile(entry, io.BytesIO(text.encode()))
