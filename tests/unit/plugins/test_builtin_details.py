"""What the conformance suite cannot know about the built-ins."""

import base64
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pilotage_plugin_api import FailureKind, InfrastructureFailed, Refused, StepFailed, TargetFailed
from pilotage_plugin_api.catalogue import load_catalogue
from pilotage_plugin_api.testing import Harness
from pilotage_plugins.backup.prune import BackupPrune
from pilotage_plugins.command.run import CommandRun
from pilotage_plugins.discovery.data import DiscoveryData
from pilotage_plugins.dummy.step_types import DummyOnce
from pilotage_plugins.file import write as file_write
from pilotage_plugins.file.write import FileWrite
from pilotage_plugins.http.check import HttpCheck
from pilotage_plugins.wait.until import WaitUntil

KEY = "exe_1/config/host1//run/1"


def test_a_command_that_fails_is_quoted(harness: Harness) -> None:
    with pytest.raises(StepFailed, match=r"sh ended with exit code 3, expected 0; its last words: no luck"):
        harness.run(CommandRun(), {"argv": ["sh", "-c", "echo no luck >&2; exit 3"]})
    outputs = harness.run(CommandRun(), {"argv": ["sh", "-c", "exit 3"], "expect": [0, 3]})
    assert outputs["exit_code"] == 3


@pytest.mark.parametrize(
    ("printed", "how", "parsed"), [('{"a": [1, "ü"]}', "json", {"a": [1, "ü"]}), ("x\\ny\\n", "lines", ["x", "y"])]
)
def test_output_is_parsed(harness: Harness, printed: str, how: str, parsed: object) -> None:
    assert harness.run(CommandRun(), {"argv": ["printf", printed], "parse": how})["parsed"] == parsed


@pytest.mark.parametrize("printed", ["{", "", "NaN", "[1,]"])
def test_output_that_is_no_json_is_quoted(harness: Harness, printed: str) -> None:
    with pytest.raises(StepFailed, match="did not print JSON"):
        harness.run(CommandRun(), {"argv": ["printf", "%s", printed], "parse": "json"})


def test_a_flood_of_control_characters_fits_the_outputs(harness: Harness) -> None:
    flood = "head -c 1000000 /dev/zero; head -c 1000000 /dev/urandom >&2"
    outputs = harness.run(CommandRun(), {"argv": ["sh", "-c", flood]})
    assert outputs["stdout"].endswith("\0")


def test_a_retry_after_a_crash_still_knows_what_was_there(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """Die between the replacement and the outcome, retry as another attempt, then undo."""
    path = harness.sandbox / "motd"
    path.write_text("before\n")
    params = {"path": str(path), "content": "after\n"}
    harness.run(FileWrite(), params, key=KEY)
    outputs = harness.run(FileWrite(), params, key=KEY[:-1] + "2")
    assert outputs["changed"]
    assert base64.b64decode(outputs["previous"]["content"]) == b"before\n"
    harness.undo(FileWrite(), params, outputs)
    assert path.read_text() == "before\n"
    assert [entry.name for entry in harness.sandbox.iterdir()] == ["motd"]


def test_another_step_run_does_not_believe_the_note(harness: Harness) -> None:
    path = harness.sandbox / "motd"
    params = {"path": str(path), "content": "after\n"}
    harness.run(FileWrite(), params, key=KEY)
    assert not harness.run(FileWrite(), params, key="exe_2/config/host1//run/1")["changed"]


def test_an_undo_leaves_what_others_wrote_since(harness: Harness) -> None:
    path = harness.sandbox / "motd"
    params = {"path": str(path), "content": "after\n"}
    outputs = harness.run(FileWrite(), params)
    path.write_text("somebody else's")
    with pytest.raises(TargetFailed, match="changed after"):
        harness.undo(FileWrite(), params, outputs)
    assert path.read_text() == "somebody else's"


def test_a_file_too_big_to_keep_is_refused_before_it_is_lost(harness: Harness) -> None:
    path = harness.sandbox / "big"
    path.write_text("x" * 40_000)
    params = {"path": str(path), "content": "small"}
    with pytest.raises(Refused, match="keep_previous: false"):
        harness.run(FileWrite(), params)
    assert path.stat().st_size == 40_000
    outputs = harness.run(FileWrite(), {**params, "keep_previous": False})
    with pytest.raises(Refused, match="not kept"):
        harness.undo(FileWrite(), params, outputs)


def test_a_full_disk_leaves_the_old_file(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    path = harness.sandbox / "motd"
    path.write_text("before\n")

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InfrastructureFailed, match="No space left"):
        harness.run(FileWrite(), {"path": str(path), "content": "after\n"})
    assert path.read_text() == "before\n"
    assert [entry.name for entry in harness.sandbox.iterdir()] == ["motd"]


def test_links_and_folders_are_never_replaced(harness: Harness) -> None:
    (harness.sandbox / "link").symlink_to("elsewhere")
    for name in ("link", ""):
        with pytest.raises((TargetFailed, Refused)):
            harness.run(FileWrite(), {"path": f"{harness.sandbox}/{name}", "content": "x"})
    assert file_write.CONTENT_LIMIT == 256 * 1024


def test_an_unquoted_mode_is_explained(harness: Harness) -> None:
    with pytest.raises(Refused, match='write it in quotes, such as "0644"'):
        harness.run(FileWrite(), {"path": "/x", "content": "", "mode": 644})


@contextmanager
def serving(answer: Any) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            answer(self)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


def answering(status: int, headers: dict[str, str], body: bytes) -> Any:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(body)

    return answer


def test_a_chunked_answer_is_read(harness: Harness) -> None:
    body = b"4\r\nall \r\n7\r\nis well\r\n0\r\n\r\n"
    with serving(answering(200, {"Transfer-Encoding": "chunked"}, body)) as url:
        assert harness.run(HttpCheck(), {"url": url, "contains": "all is well"})["body"] == "all is well"


def test_kinds_of_http_failures(harness: Harness) -> None:
    with serving(answering(503, {"Content-Length": "4"}, b"busy")) as url:
        with pytest.raises(StepFailed, match="answered 503, expected 200"):
            harness.run(HttpCheck(), {"url": url})
        with pytest.raises(StepFailed, match="without the text"):
            harness.run(HttpCheck(), {"url": url, "expect": [503], "contains": "idle"})
    with pytest.raises(InfrastructureFailed, match="cannot connect"):
        harness.run(HttpCheck(), {"url": url})
    with serving(answering(200, {"Content-Length": "900"}, b"short")) as url, pytest.raises(InfrastructureFailed):
        harness.run(HttpCheck(), {"url": url, "timeout": "300ms"})


def test_no_redirect_leads_to_another_scheme(harness: Harness) -> None:
    for target in ("https://127.0.0.1/", "file:///etc/passwd", "gopher://x/"):
        with serving(answering(302, {"Location": target, "Content-Length": "0"}, b"")) as url:
            with pytest.raises(StepFailed, match="redirects to"):
                harness.run(HttpCheck(), {"url": url, "redirects": 3})
            assert harness.run(HttpCheck(), {"url": url, "expect": [302]})["status"] == 302


@pytest.mark.parametrize("url", ["ftp://x/", "http://u:p@x/", "http://", "http://x/a b", "http://x/\r\nEvil: 1"])
def test_odd_addresses_are_refused(harness: Harness, url: str) -> None:
    with pytest.raises(Refused, match="url"):
        harness.run(HttpCheck(), {"url": url})


def test_waiting_ends_well_or_with_the_last_error(harness: Harness) -> None:
    harness.catalogue = load_catalogue()
    counter = str(harness.sandbox / "count")
    check = {"type": "dummy.read", "parameters": {"counter": counter, "fail": 2, "outputs": {"n": 1}}}
    outputs = harness.run(WaitUntil(), {"check": check, "every": "10ms"})
    assert (outputs["checks"], outputs["outputs"]["values"]) == (3, {"n": 1})
    never = {"type": "dummy.read", "parameters": {"fail": -1, "fail_message": "still down"}}
    with pytest.raises(StepFailed, match=r"did not succeed within .* still down"):
        harness.run(WaitUntil(), {"check": never, "every": "10ms", "within": "60ms"})


def test_waiting_for_what_can_never_be_fails_at_once(harness: Harness) -> None:
    harness.catalogue = load_catalogue()
    for check in ({"type": "no.such"}, {"type": "dummy.once"}, {"type": "dummy.read", "parameters": {"x": 1}}):
        with pytest.raises(Refused):
            harness.run(WaitUntil(), {"check": check, "within": "10s"})


def test_discovery_finds_databases_by_their_header(harness: Harness) -> None:
    for name in ("data", "other"):
        (harness.sandbox / name / "deep").mkdir(parents=True)
    database = harness.sandbox / "data" / "deep" / "odd [x]*.bin"
    database.write_bytes(b"SQLite format 3\0" + b"x" * 84)
    (harness.sandbox / "data" / "fake.db").write_text("SQLite")
    Path(os.fsdecode(bytes(harness.sandbox) + b"/other/\xff")).write_bytes(b"SQLite format 3\0")
    os.link(harness.sandbox / "data" / "fake.db", harness.sandbox / "data" / "same.db")
    roots = [str(harness.sandbox / "data"), str(harness.sandbox / "other")]
    found = harness.run(DiscoveryData(), {"roots": roots})
    [entry] = found["databases"]
    assert entry == {
        "engine": "sqlite",
        "name": "data/deep/odd [x]*.bin",
        "path": str(database),
        "bytes": 100,
        "container": None,
    }
    data, other = found["volumes"]
    assert (data["name"], data["files"], data["bytes"], data["containers"]) == ("data", 3, 106, [])
    assert other["files"] == 1
    assert "not UTF-8" in found["unreadable"][0]
    again = harness.run(DiscoveryData(), {"roots": roots, "exclude": data["exclude"]})
    assert again["databases"] == []
    with pytest.raises(StepFailed, match="max_entries"):
        harness.run(DiscoveryData(), {"roots": roots, "max_entries": 2})
    with pytest.raises(TargetFailed, match="lies in"):
        harness.run(DiscoveryData(), {"roots": [roots[0], roots[0] + "/deep"]})


@pytest.mark.parametrize("keep", [{}, {"daily": 0}, {"forever": 1}, {"last": -1}])
def test_an_empty_keep_is_refused_before_anything_is_touched(harness: Harness, keep: dict[str, int]) -> None:
    with pytest.raises(Refused, match="keep"):
        harness.run(BackupPrune(), {"repository": "/nowhere", "password": "secret://x", "keep": keep})


def test_a_password_in_an_address_or_as_text_is_refused_unseen(harness: Harness) -> None:
    for wrong in ({"repository": "rest:https://u:hunter2@vault/"}, {"password": "hunter2"}):
        params = {"repository": "/x", "password": "secret://x", "keep": {"last": 1}, **wrong}
        with pytest.raises(Refused, match="secret://") as caught:
            harness.run(BackupPrune(), params)
        assert "hunter2" not in str(caught.value)


def test_a_dummy_counts_its_starts_and_fails_as_told(harness: Harness) -> None:
    counter, starts = harness.sandbox / "count", harness.sandbox / "starts"
    params = {"counter": str(counter), "write": str(starts), "fail": 1, "fail_kind": "infrastructure"}
    with pytest.raises(InfrastructureFailed) as caught:
        harness.run(DummyOnce(), params, key=KEY)
    assert caught.value.kind is FailureKind.INFRASTRUCTURE
    assert harness.run(DummyOnce(), params, key=KEY)["start"] == 2
    assert [line.split()[0] for line in starts.read_text().splitlines()] == [KEY, KEY]
