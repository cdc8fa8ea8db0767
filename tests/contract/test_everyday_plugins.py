"""The samples of the everyday step types: files, addresses, scripts."""

import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pilotage_plugin_api.testing import Conformance, Sample
from pilotage_plugins.discovery.disks import DiscoveryDisks
from pilotage_plugins.discovery.packages import DiscoveryPackages
from pilotage_plugins.file.copy import FileCopy
from pilotage_plugins.file.directory import FileDirectory
from pilotage_plugins.file.remove import FileRemove
from pilotage_plugins.file.template import FileTemplate
from pilotage_plugins.http.measure import HttpMeasure
from pilotage_plugins.http.request import HttpRequest
from pilotage_plugins.metric.read import MetricRead
from pilotage_plugins.network.tcp import TcpCheck

TOKEN = b"canary-5519"


class TestFileCopy(Conformance):
    step_type = FileCopy()

    def sample(self, sandbox: Path) -> Sample:
        (sandbox / "from").write_bytes(bytes(range(256)) * 20_000)
        (sandbox / "to").write_text("before\n")
        return Sample({"source": str(sandbox / "from"), "path": str(sandbox / "to"), "mode": "0640"})


class TestFileTemplate(Conformance):
    step_type = FileTemplate()

    def sample(self, sandbox: Path) -> Sample:
        (sandbox / "hosts").write_text("before\n")
        file = {"name": "hosts.j2", "text": "{% for h in hosts %}{{ h }}\n{% endfor %}"}
        return Sample({"path": str(sandbox / "hosts"), "file": file, "values": {"hosts": ["a", "b"]}, "mode": "0640"})


class TestFileRemove(Conformance):
    step_type = FileRemove()

    def sample(self, sandbox: Path) -> Sample:
        (sandbox / "old\nname").write_text("before\n")
        return Sample({"path": str(sandbox / "old\nname")})


class TestFileRemoveOfALink(Conformance):
    step_type = FileRemove()

    def sample(self, sandbox: Path) -> Sample:
        (sandbox / "link").symlink_to("no/where")
        return Sample({"path": str(sandbox / "link")})


class TestFileDirectory(Conformance):
    step_type = FileDirectory()

    def sample(self, sandbox: Path) -> Sample:
        return Sample({"path": str(sandbox / "a" / "b" / "c ü"), "mode": "0700", "parents": True})


class TestFileDirectoryThatIsThere(Conformance):
    step_type = FileDirectory()

    def sample(self, sandbox: Path) -> Sample:
        (sandbox / "a").mkdir(mode=0o700)
        return Sample({"path": str(sandbox / "a"), "mode": "0755"})


class _Echo(BaseHTTPRequestHandler):
    """Answers with how much came, and refuses who does not know the secret."""

    def do_GET(self) -> None:
        self._answer(b"up 1\n" if self.path == "/metrics" else b"well")

    def do_POST(self) -> None:
        got = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(b'{"got": %d}' % len(got))

    def _answer(self, body: bytes) -> None:
        self.send_response(200 if self.headers.get("Authorization") == TOKEN.decode() else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


class _AgainstServer(Conformance):
    port: int

    @pytest.fixture(autouse=True)
    def _serve(self) -> Iterator[None]:
        with ThreadingHTTPServer(("127.0.0.1", 0), _Echo) as server:
            thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01))
            thread.start()
            self.port = server.server_port
            yield
            server.shutdown()
            thread.join()

    def asking(self, **more: Any) -> dict[str, Any]:
        return {
            "url": f"http://127.0.0.1:{self.port}/",
            "secret_headers": {"Authorization": "secret://token"},
            **more,
        }


class TestMetricRead(_AgainstServer):
    step_type = MetricRead()

    def sample(self, sandbox: Path) -> Sample:
        asking = self.asking(metric="up", at_most=1)
        asking["url"] += "metrics"
        return Sample(asking, long={**asking, "settle": "30s"}, secrets={"token": TOKEN})


class TestHttpRequest(_AgainstServer):
    step_type = HttpRequest()

    def sample(self, sandbox: Path) -> Sample:
        return Sample(self.asking(json_body={"a": 1}, parse=True), secrets={"token": TOKEN})


class TestHttpMeasure(_AgainstServer):
    step_type = HttpMeasure()

    def sample(self, sandbox: Path) -> Sample:
        quick = self.asking(duration="100ms", rate=50.0, max_error_rate=0.0)
        return Sample(quick, secrets={"token": TOKEN}, long=self.asking(duration="2m"))


class TestTcpCheck(_AgainstServer):
    step_type = TcpCheck()

    def sample(self, sandbox: Path) -> Sample:
        return Sample({"address": "127.0.0.1", "port": self.port, "send": "GET / HTTP/1.0\r\n\r\n", "contains": "401"})


class TestDiscoveryDisks(Conformance):
    step_type = DiscoveryDisks()

    def sample(self, sandbox: Path) -> Sample:
        return Sample({})


@pytest.mark.skipif(shutil.which("apt-mark") is None, reason="this machine has no apt")
class TestDiscoveryPackages(Conformance):
    step_type = DiscoveryPackages()

    def sample(self, sandbox: Path) -> Sample:
        return Sample({"match": "d"})
