"""A message to people, from a real coordinator that is killed between its record and its delivery."""

import json
import signal
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from tests.e2e.conftest import MakeFleet
from tests.fleet.fleet import ENDED, Fleet

pytestmark = [pytest.mark.e2e]

TOKEN = "Bearer of-the-receiver-81f"
BLUEPRINT = """
pilotage: 1
workflows:
  told:
    version: "1.0.0"
    steps:
      - {id: sane, type: validation.assert, parameters: {that: "1 > 2"}}
    finally:
      - id: told
        type: notify.send
        parameters: {to: ops, severity: error, text: "it is ${{ execution.outcome }}"}
"""


class Receiver(ThreadingHTTPServer):
    """Takes messages, or refuses them while it is told to."""

    def __init__(self) -> None:
        self.came: list[tuple[str, str, Any]] = []
        super().__init__(("127.0.0.1", 0), Hook)


class Hook(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.came.append((self.headers["Idempotency-Key"], self.headers["Authorization"], body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def _configure(fleet: Fleet, port: int) -> None:
    fleet.folder.mkdir(parents=True, exist_ok=True)
    (fleet.folder / "none.toml").write_text(
        f'[channels.ops]\ntype = "webhook"\nurl = "http://127.0.0.1:{port}/hook"\n'
        'header = "Authorization"\nheader_value = "secret://ops/token"\n'
    )


def test_a_message_outlives_a_kill_between_record_and_delivery(make_fleet: MakeFleet, receiver: Receiver) -> None:
    fleet = make_fleet(start=False)
    _configure(fleet, receiver.server_port)
    fleet.start_coordinator({"PILOTAGE_FAILPOINT": "coordinator.notification.sent"})
    fleet.run("secret", "set", "ops/token", "--any", input=TOKEN)
    refused = BLUEPRINT.replace("to: ops", "to: nobody")
    file = fleet.folder / "refused.yaml"
    file.write_text(refused)
    said = fleet.run("plan", "-f", str(file), check=False)
    assert said.returncode
    assert "no channel `nobody`: configured are `ops`" in " ".join((said.stdout + said.stderr).split())

    started = fleet.call(lambda client: client.start_run(source=BLUEPRINT))
    # The receiver has the message, and the coordinator dies before it can note that.
    assert fleet.coordinator.wait(40) == -signal.SIGKILL
    assert len(receiver.came) == 1
    fleet.start_coordinator()
    execution = started["execution"]
    fleet.until("it ended", lambda: fleet.call(lambda client: client.show_run(execution))["state"] in ENDED)
    fleet.until("it is delivered", lambda: fleet.json("notification", "list", "--state", "delivered"))
    (row,) = fleet.json("notification", "list", "--execution", "last")
    assert (row["state"], row["channel"], row["severity"], row["text"]) == ("delivered", "ops", "error", "it is failed")
    assert [key for key, _, _ in receiver.came] == [row["id"]] * 2
    assert {secret for _, secret, _ in receiver.came} == {TOKEN}
    assert receiver.came[0][2] == receiver.came[1][2]
    runs = {run["step"]: run for run in fleet.json("run", "show", execution)["runs"]}
    outputs = {"notification": row["id"], "channel": "ops", "delivery": "queued"}
    assert (runs["told"]["state"], runs["told"]["outputs"]) == ("succeeded", outputs)
    again = fleet.run("notification", "retry", row["id"], check=False)
    assert (again.returncode, "is delivered" in again.stderr) == (1, True)
    assert TOKEN.split()[1] not in fleet.coordinator.output()


def test_a_receiver_that_is_away_is_told_and_tried_again(make_fleet: MakeFleet, receiver: Receiver) -> None:
    fleet = make_fleet(start=False)
    _configure(fleet, 1)
    fleet.start_coordinator()
    fleet.run("secret", "set", "ops/token", "--any", input=TOKEN)
    fleet.call(lambda client: client.start_run(source=BLUEPRINT))
    fleet.until("it failed", lambda: any(row["attempts"] for row in fleet.json("notification", "list")))
    findings = fleet.call(lambda client: client.examine())["items"]
    (finding,) = [each for each in findings if each["check"] == "notifications"]
    assert (finding["verdict"], "failed so far" in finding["detail"]) == ("warning", True)
    fleet.coordinator.kill()
    _configure(fleet, receiver.server_port)
    fleet.start_coordinator()
    fleet.until("it is delivered", lambda: fleet.json("notification", "list", "--state", "delivered"))
    assert receiver.came
