"""The HTTP API in process: every route answers, every refusal is a problem that names the fix, streams go on."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import httpx
import pytest
from pilotage_client import ClientError, CoordinatorUnreachable, Denied, PilotageClient, RequestRefused
from pilotage_client.transport import Transport
from pilotage_coordinator.api.application import application
from pilotage_coordinator.api.body import DEEPEST_BODY, LARGEST_BODY
from pilotage_coordinator.api.routes import ROUTES
from pilotage_coordinator.api.sse import events
from pilotage_coordinator.domain.proof import ProofKind
from pilotage_coordinator.service.execution_view import EventAnswer
from pilotage_coordinator.service.executions import WatchAnswer
from pilotage_coordinator.store.records import EventRecord

from tests.unit.service.desk import DIGEST, EXECUTION, GUEST, NOW, OWNER, SOURCE, Desk, FakeLine, always
from tests.unit.service.test_guard import EXAMPLES


@pytest.fixture
def closing() -> asyncio.Event:
    return asyncio.Event()


def _http(desk: Desk, closing: asyncio.Event, caller: Any = OWNER) -> httpx.AsyncClient:
    app = application(desk.services, always(caller), closing)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://pilotage")


@pytest.fixture
async def http(desk: Desk, closing: asyncio.Event) -> AsyncIterator[httpx.AsyncClient]:
    async with _http(desk, closing) as client:
        yield client


@pytest.fixture
async def client(http: httpx.AsyncClient) -> PilotageClient:
    return PilotageClient(Transport(http, "here"))


async def _world(desk: Desk, client: PilotageClient) -> None:
    await desk.add_host()
    await desk.add_execution()
    await client.add_blueprint(SOURCE)
    await client.set_secret("known", b"x")


async def test_choices_are_those_that_hosts_tell_or_the_blueprints_own(desk: Desk, client: PilotageClient) -> None:
    await client.add_blueprint(SOURCE)
    chosen = await client.show_choices("check@1", "note", parameter_texts={"days": "5"}, limit_to="role=db")
    assert chosen["items"] == [{"value": "shop", "hosts": ["db1", "db2"]}, {"value": "web", "hosts": ["db1"]}]
    assert [each["host"] for each in chosen["incomplete"]] == ["db2", "db3"]
    asked = {"blueprint": "check", "name": "note", "parameters": {"days": 5}, "limit_to": "role=db"}
    assert desk.plans.made == [asked]
    own = SOURCE.replace("default: hello", "default: S, choices: [S, M]").replace("1.0.0", "1.1.0")
    await client.add_blueprint(own)
    chosen = await client.show_choices("check", "note")
    assert chosen["items"] == [{"value": "S", "hosts": []}, {"value": "M", "hosts": []}]
    assert desk.plans.made == [asked]


async def test_every_method_of_the_client_gets_an_answer(desk: Desk, client: PilotageClient) -> None:
    await _world(desk, client)
    assert await client.healthy()
    assert [each["id"] for each in await client.list_blueprints()] == ["check"]
    assert (await client.show_blueprint("check@1"))["parameters"][0]["name"] == "days"
    assert (await client.validate_blueprint(SOURCE))["items"][0]["expanded"].startswith("pilotage: 1")
    plan = await client.make_plan(source=SOURCE, parameter_texts={"days": "5"})
    assert plan["steps"][0]["waves"][0]["hosts"] == ["db1", "db2"]
    assert plan["steps"][0]["previews"][0]["changes"][0]["subject"] == "uptime"
    assert plan["notes"][0]["host"] == "db2"
    assert desk.plans.made[-1]["parameters"] == {"days": 5}
    assert (await client.show_plan(DIGEST))["digest"] == DIGEST
    started = await client.start_run(plan_digest=DIGEST)
    assert (await client.show_run(started["execution"]))["requested_by"] == "ann"
    assert (await client.exec_command(["uptime"], "role=db"))["execution"] != started["execution"]
    assert len(await client.list_runs(states=["pending", "running"])) == 3
    assert (await client.replay_run(EXECUTION, 1))["event"] is not None
    for steer in (client.pause_run, client.resume_run, client.cancel_run, client.retry_run):
        assert (await steer(EXECUTION))["id"] == EXECUTION
    await client.resolve_run(EXECUTION, "sane", "retry", host="db1", comment="looked")
    await client.release_gate(EXECUTION, "a gate/with slash", "denied")
    assert [type(given).__name__ for _, given in desk.runs.submitted] == [
        "PauseRequested", "ResumeRequested", "CancelRequested", "RetryFailed", "UnknownResolved", "GateReleased",
    ]  # fmt: skip
    assert desk.runs.submitted[-1][1].name == "a gate/with slash"  # type: ignore[union-attr]
    token = await client.make_token("db2", {"role": "db"})
    assert token["command"].endswith(token["token"])
    assert [(each["name"], each["state"]) for each in await client.list_hosts()] == [("db1", "online")]
    host = await client.set_host("db1", labels={"role": "web"}, variables={"n": [1]}, environment="prod")
    assert (host["labels"]["role"], host["variables"], host["environment"]) == ("web", {"n": [1]}, "prod")
    assert (await client.show_host("db1"))["id"] == "hst_db1"
    assert (await client.revoke_host("db1"))["state"] == "revoked"
    assert (await client.set_secret("restic/db1", b"\x00\xff"))["new"]
    assert desk.secrets.values["restic/db1"] == b"\x00\xff"
    assert [each["name"] for each in await client.list_secrets()] == ["known", "restic/db1"]
    granted = await client.grant_secret("restic/db1", [{"step_types": ["backup.*"]}], [])
    assert granted["grants"][0]["step_types"] == ["backup.*"]
    with pytest.raises(ClientError, match="somebody else has changed who may use"):
        await client.grant_secret("restic/db1", [], [])
    assert (await client.remove_secret("restic/db1"))["name"] == "restic/db1"
    assert (await client.examine())["healthy"]
    assert (await client.status())["hosts_total"] == 0
    assert (await client.stop())["executions_active"] == 3
    assert desk.coordinator.stopping


async def test_a_host_shows_its_last_good_backup_and_its_last_passed_drill(desk: Desk, client: PilotageClient) -> None:
    await _world(desk, client)
    assert [each["last_backup_at"] for each in await client.list_hosts()] == [""]
    assert (await client.show_host("db1"))["last_backup"] is None
    await desk.prove("db1", ProofKind.BACKUP, passed=True, detail={"snapshot_id": "cafe"})
    await desk.prove("db1", ProofKind.DRILL, passed=False)
    [listed] = await client.list_hosts()
    shown = await client.show_host("db1")
    assert shown["last_backup"] == {
        "at": listed["last_backup_at"],
        "execution": EXECUTION,
        "step": "save",
        "item": "srv",
        "detail": {"snapshot_id": "cafe"},
    }
    assert listed["last_backup_at"].endswith("Z")
    assert (listed["last_drill_at"], shown["last_drill"], shown["last_failed_backup"]) == ("", None, None)
    assert shown["last_failed_drill"] is not None
    assert shown["last_failed_drill"]["execution"] == EXECUTION


async def test_lists_are_read_page_by_page(desk: Desk, http: httpx.AsyncClient) -> None:
    for name in ("db1", "db2", "db3"):
        await desk.add_host(name)
    seen = []
    cursor = ""
    while True:
        page = (await http.get("/v1/hosts", params={"limit": 2, "cursor": cursor})).json()
        seen.append([each["name"] for each in page["items"]])
        cursor = page["next"]
        if not cursor:
            break
    assert seen == [["db1", "db2"], ["db3"]]
    assert (await http.get("/v1/hosts", params={"cursor": "made up"})).status_code == 422


@pytest.mark.parametrize(
    "route", [each for each in ROUTES if each.method in ("POST", "PUT", "PATCH")], ids=lambda r: r.path
)
async def test_an_unknown_field_is_refused_by_name(desk: Desk, http: httpx.AsyncClient, route: Any) -> None:
    example = {
        "execution": EXECUTION,
        "gate": "g",
        "host": "db1",
        "name": "n",
        **EXAMPLES.get(route.verb.operation, {}),
    }
    path = route.path.replace(":path", "").format(**example)
    body = {
        key: value
        for key, value in example.items()
        if f"{{{key}" not in route.path and key in route.verb.request.model_fields
    }
    answer = await http.request(route.method, path, json={**body, "surprise": 1})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert {"path": "surprise", "message": "there is no such field"}.items() <= answer.json()["problems"][0].items()


@pytest.mark.parametrize(
    ("content", "media_type", "status", "words"),
    [
        (b"{", "application/json", 400, "no JSON"),
        (b"[]", "application/json", 400, "no JSON object"),
        (b'{"a": 1, "a": 2}', "application/json", 400, "'a' is given twice"),
        (b'{"a": NaN}', "application/json", 400, "NaN"),
        (b"\xff\xfe\x00", "application/json", 400, "no JSON"),
        (b"a: 1", "application/yaml", 415, "application/json"),
        (b"{}", "text/plain", 415, "application/json"),
        (b'{"a":' * (DEEPEST_BODY + 2) + b"1" + b"}" * (DEEPEST_BODY + 2), "application/json", 400, "deeper"),
        (b"[" * 200_000, "application/json", 400, "no JSON"),
        (b'{"source": "' + b"x" * LARGEST_BODY + b'"}', "application/json", 413, "larger"),
        (b'{"source": "' + b"x" * (1 << 20) + b'x"}', "application/json", 422, "1048576"),
        (b'{"source": 5}', "application/json", 422, "source"),
    ],
)
async def test_a_body_that_cannot_be_taken_is_refused_with_the_reason(
    http: httpx.AsyncClient, content: bytes, media_type: str, status: int, words: str
) -> None:
    answer = await http.post("/v1/plans", content=content, headers={"content-type": media_type})
    assert answer.status_code == status
    assert words in answer.json()["detail"]
    assert answer.json()["kind"] == "parameter"


async def test_values_are_not_converted_silently(http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/plans", json={"source": SOURCE, "previews": "yes"})
    assert answer.status_code == 422
    assert answer.json()["problems"][0]["path"] == "previews"


async def test_a_body_sent_in_pieces_without_end_is_cut_off(http: httpx.AsyncClient) -> None:
    async def flood() -> AsyncIterator[bytes]:
        for _ in range(1000):
            yield b" " * 65536

    answer = await http.post("/v1/plans", content=flood(), headers={"content-type": "application/json"})
    assert answer.status_code == 413


async def test_a_secret_never_comes_back(http: httpx.AsyncClient) -> None:
    answer = await http.put("/v1/secrets/a", json={"value_base64": "aHVudGVyMg==\u0000", "value": "hunter2"})
    assert answer.status_code == 422
    assert "hunter2" not in answer.text
    assert "aHVudGVyMg" not in answer.text


async def test_what_the_path_says_the_body_may_not_say_again(http: httpx.AsyncClient) -> None:
    answer = await http.post(f"/v1/executions/{EXECUTION}/pause", json={"execution": "exe_other"})
    assert answer.status_code == 422
    assert "given by the path" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/nothing", 404),
        ("PUT", "/v1/hosts", 405),
        ("GET", "/v1/executions/exe_short", 422),
        ("GET", "/v1/hosts?limit=0", 422),
        ("GET", "/v1/hosts?limit=1&limit=2", 422),
        ("GET", "/v1/hosts?colour=red", 422),
        ("GET", "/v1/executions?state=sleeping", 422),
        ("POST", "/v1/coordinator/stop?now=1", 422),
        ("GET", f"/v1/executions/{EXECUTION}", 404),
        ("GET", f"/v1/executions/{EXECUTION}/events", 404),
        ("GET", f"/v1/executions/{EXECUTION}/logs/follow", 404),
    ],
)
async def test_wrong_addresses_are_problems_too(http: httpx.AsyncClient, method: str, path: str, status: int) -> None:
    answer = await http.request(method, path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"]


async def test_a_defect_says_nothing_of_its_inside(desk: Desk, closing: asyncio.Event) -> None:
    desk.plans.refuse = RuntimeError("password=hunter2")
    app = application(desk.services, always(OWNER), closing)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as http:
        answer = await http.post("/v1/plans", json={"source": SOURCE})
    assert answer.status_code == 500
    assert "hunter2" not in answer.text


async def test_the_client_tells_denied_from_refused(desk: Desk, closing: asyncio.Event) -> None:
    async with _http(desk, closing, GUEST) as http:
        client = PilotageClient(Transport(http, "here"))
        with pytest.raises(Denied, match="eve may not do") as denied:
            await client.list_hosts()
        with pytest.raises(RequestRefused) as refused:
            await client.show_run(EXECUTION)
    assert denied.value.fix
    assert refused.value.status == 404


async def test_the_idempotency_key_header_protects_a_start(desk: Desk, http: httpx.AsyncClient) -> None:
    body = {"what": {"source": SOURCE}}
    first, again = [
        (await http.post("/v1/executions", json=body, headers={"idempotency-key": "k"})).json() for _ in range(2)
    ]
    assert first["execution"] == again["execution"]
    assert again["repeated"]


# --- streams ------------------------------------------------------------------------------------------------------


def _events(count: int) -> list[EventRecord]:
    return [EventRecord(number, NOW + number, "step_opened", {"n": number}) for number in range(1, count + 1)]


async def test_watching_yields_every_event_and_ends(desk: Desk, client: PilotageClient) -> None:
    await desk.add_execution()
    desk.runs.events = _events(3)
    seen = [each async for each in client.watch_run(EXECUTION)]
    assert [each["event"]["sequence"] for each in seen if each["event"]] == [1, 2, 3]
    assert seen[0]["progress"] == [{"step": "sane", "host": "db1", "item": "", "fraction": 0.5, "text": "half"}]
    assert all(not each["progress"] for each in seen[1:])


async def test_a_stream_goes_on_after_the_last_event_id(desk: Desk, http: httpx.AsyncClient) -> None:
    await desk.add_execution()
    desk.runs.events = _events(3)
    answer = await http.get(f"/v1/executions/{EXECUTION}/events", headers={"last-event-id": "2"})
    assert answer.headers["content-type"].startswith("text/event-stream")
    ids = [line for line in answer.text.splitlines() if line.startswith("id:")]
    assert ids == ["id: 3"]
    assert answer.text.endswith("event: end\ndata: {}\n\n")


async def test_logs_are_read_and_followed_with_cursors(
    desk: Desk, client: PilotageClient, http: httpx.AsyncClient
) -> None:
    await desk.add_execution()
    desk.logs.lines = [FakeLine(f"c{number}", f"line {number}\x1b[31m\n") for number in range(1, 4)]
    assert [each["text"] async for each in client.read_logs(EXECUTION)] == [line.text for line in desk.logs.lines]
    assert [each["cursor"] async for each in client.follow_logs(EXECUTION)] == ["c1", "c2", "c3"]
    page = (await http.get(f"/v1/executions/{EXECUTION}/logs", params={"limit": 2})).json()
    assert (len(page["items"]), page["next"]) == (2, "c2")


async def test_who_stops_watching_ends_the_watch_behind_it(desk: Desk) -> None:
    desk.runs.events, desk.runs.forever = _events(1), True

    async def answers() -> AsyncIterator[WatchAnswer]:
        async for record in desk.runs.watch(EXECUTION, 0):
            yield WatchAnswer(event=EventAnswer(execution=EXECUTION, sequence=record.sequence, at="", type="", data={}))

    stream = events(answers(), asyncio.Event())
    async with aclosing(stream):
        assert (await anext(stream)).startswith(b"id: 1\n")
    async with asyncio.timeout(5):
        await desk.runs.left.wait()


async def test_a_silent_stream_shows_that_it_lives_and_a_closing_server_ends_it_without_an_end(desk: Desk) -> None:
    desk.runs.forever = True
    closing = asyncio.Event()

    async def answers() -> AsyncIterator[WatchAnswer]:
        async for _ in desk.runs.watch(EXECUTION, 0):
            yield WatchAnswer()

    stream = events(answers(), closing, heartbeat=0.01)
    assert await anext(stream) == b": alive\n\n"
    closing.set()
    rest = [each async for each in stream]
    assert b"event: end\ndata: {}\n\n" not in rest


class _Flaky(httpx.AsyncBaseTransport):
    """Answers with one event a connection, then breaks, until the third."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/health":
            return httpx.Response(200, json={"status": "serving"})
        place = request.headers.get("last-event-id", "0")
        self.asked.append(place)

        async def content() -> AsyncIterator[bytes]:
            number = int(place) + 1
            yield f"id: {number}\ndata: {json.dumps({'event': {'sequence': number}, 'progress': []})}\n\n".encode()
            if number < 3:
                raise httpx.ReadError("gone")
            yield b"event: end\ndata: {}\n\n"

        return httpx.Response(200, content=content())


async def test_a_stream_that_breaks_is_taken_up_where_it_was() -> None:
    flaky = _Flaky()
    lost: list[str] = []
    back: list[bool] = []
    async with httpx.AsyncClient(transport=flaky, base_url="http://x") as http:
        client = PilotageClient(Transport(http, "here"))
        seen = [each async for each in client.watch_run(EXECUTION, lost=lost.append, back=lambda: back.append(True))]
    assert [each["event"]["sequence"] for each in seen if each["event"]] == [1, 2, 3]
    assert flaky.asked == ["0", "1", "2"]
    assert lost == ["gone", "gone"]
    assert back == [True, True]


async def test_nobody_there_says_how_to_start_one(tmp_path: Any) -> None:
    async with PilotageClient(socket=tmp_path / "no.sock") as client:
        with pytest.raises(CoordinatorUnreachable, match="no coordinator answers at") as refusal:
            await client.list_hosts()
        with pytest.raises(CoordinatorUnreachable):
            await anext(client.watch_run(EXECUTION))
    assert "pilotage up" in refusal.value.fix


def test_a_token_never_travels_without_tls() -> None:
    with pytest.raises(ClientError, match="https"):
        Transport.over_https("http://example.org", "secret")
