"""The tools over real HTTP, by the SDK's own client, in three versions of the protocol."""

import asyncio
import json

import pytest
from mcp.client.subscriptions import ResourceUpdated
from mcp.shared.exceptions import MCPError
from mcp_types import PromptReference, ResourceTemplateReference, TextContent, TextResourceContents
from pilotage_coordinator.domain.plan import Json
from pilotage_coordinator.mcp.handlers import subscriptions
from pilotage_coordinator.store.records import EventRecord

from tests.integration.mcp.site import Site
from tests.unit.service.desk import EXECUTION, NOW, TOKEN

pytestmark = pytest.mark.integration
MODES = ["legacy", "auto", "2026-07-28"]


@pytest.mark.parametrize("mode", MODES)
async def test_a_client_lists_and_calls(site: Site, mode: str) -> None:
    await site.desk.add_execution()
    async with site.client(mode=mode) as client:
        tools = (await client.list_tools()).tools
        assert "execute_workflow" in [each.name for each in tools]
        answer = await client.call_tool("list_workflows", {})
        assert not answer.is_error, answer
        assert answer.structured_content["items"][0]["workflow_name"] == "check"
        status = await client.call_tool("get_workflow_status", {"execution_id": EXECUTION})
        assert status.structured_content["state"] == "pending", status


async def test_what_has_an_address_is_listed_read_and_refused_like_the_tool_behind_it(site: Site) -> None:
    await site.desk.add_execution()
    await site.desk.add_host("db1")
    async with site.client() as client:
        listed: list[str] = []
        cursor = None
        while True:
            page = await client.list_resources(cursor=cursor)
            listed += [str(each.uri) for each in page.resources]
            cursor = page.next_cursor
            if cursor is None:
                break
        assert listed == ["blueprint://check", f"execution://{EXECUTION}", "host://db1"]
        templates = (await client.list_resource_templates()).resource_templates
        assert len(templates) == 4
        for uri in [*listed, f"execution://{EXECUTION}/log"]:
            (content,) = (await client.read_resource(uri)).contents
            assert isinstance(content, TextResourceContents)
            assert json.loads(content.text)
        for uri in (
            "host://nobody",
            "file:///etc/passwd",
            "execution://exe_1",
            "blueprint://check/../x",
            "host://db1/log",
        ):
            with pytest.raises(MCPError, match=r"host|address"):
                await client.read_resource(uri)
    runner = await site.person("runner", "nobody", "assistant")
    async with site.client(token=runner) as client:
        assert (await client.list_resources()).resources == []
        assert (await client.list_prompts()).prompts == []
        with pytest.raises(MCPError, match="there are none"):
            await client.read_resource("host://db1")


async def test_prompts_are_those_whose_tools_are_there_and_names_are_completed(site: Site) -> None:
    await site.desk.add_execution()
    async with site.client("?toolsets=all") as client:
        prompts = {each.name for each in (await client.list_prompts()).prompts}
        assert len(prompts) == 5
        asked = await client.get_prompt("triage_a_failed_run", {"execution_id": f" {EXECUTION}\u202e\n"})
        (message,) = asked.messages
        assert isinstance(message.content, TextContent)
        assert f"Execution {EXECUTION} failed." in message.content.text
        report = await client.get_prompt("morning_report")
        assert "since yesterday" in str(report.messages[0].content)
        for name, arguments in (
            ("triage_a_failed_run", {}),
            ("triage_a_failed_run", {"execution_id": EXECUTION, "also": "x"}),
            ("triage_a_failed_run", {"execution_id": "x" * 501}),
            ("triage", {}),
        ):
            with pytest.raises(MCPError, match=r"argument|did you mean|no such prompt|no `execution_id`"):
                await client.get_prompt(name, arguments)
        reference = PromptReference(name="triage_a_failed_run")
        typed = await client.complete(reference, {"name": "execution_id", "value": "exe_0"})
        assert typed.completion.values == [EXECUTION]
        blueprint = ResourceTemplateReference(uri="blueprint://{workflow_name}")
        assert (await client.complete(blueprint, {"name": "workflow_name", "value": "ch"})).completion.values == [
            "check"
        ]
        assert (await client.complete(blueprint, {"name": "other", "value": ""})).completion.values == []
    async with site.client() as client:
        assert "write_a_blueprint" not in {each.name for each in (await client.list_prompts()).prompts}


async def test_whoever_listens_is_told_of_changes_and_no_longer_once_the_right_is_gone(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscriptions, "RECHECK", 0.05)
    await site.desk.add_execution()
    site.desk.runs.events = [EventRecord(2, NOW, "step_opened", {}), EventRecord(3, NOW, "step_closed", {})]
    site.desk.runs.forever = True
    uri = f"execution://{EXECUTION}"
    seen: list[str] = []
    async with (
        asyncio.timeout(20),
        site.client(mode="2026-07-28") as client,
        client.listen(resource_subscriptions=[uri, "host://db1"]) as changes,
    ):
        assert changes.honored.resource_subscriptions == [uri]
        async for change in changes:
            assert isinstance(change, ResourceUpdated)
            seen.append(change.uri)
            if len(seen) == 2:
                await site.desk.store.access.revoke_token(TOKEN, NOW, "ann")
    assert seen == [uri, uri]
    await site.desk.runs.left.wait()


async def test_people_schedule_and_an_assistant_sees_it(site: Site) -> None:
    person = await site.person("zoe", "operator")
    asked = {"workflow_name": "check", "schedule": {"cron_expression": "30 2 * * *", "timezone": "Europe/Vienna"}}
    async with site.client("?toolsets=schedule", person) as client:
        wrong = await client.call_tool("schedule_workflow", {**asked, "schedule": {"cron_expression": "30 25 * * *"}})
        assert wrong.is_error
        made = await client.call_tool("schedule_workflow", asked)
        assert not made.is_error, made
        assert (made.structured_content["name"], made.structured_content["owner"]) == ("check", "zoe")
    async with site.client("?toolsets=schedule") as client:
        assert "schedule_workflow" not in {each.name for each in (await client.list_tools()).tools}
        listed = await client.call_tool("list_scheduled_workflows", {"workflow_name": "check"})
        assert [each["schedule_id"] for each in listed.structured_content["items"]] == [
            made.structured_content["schedule_id"]
        ]
        coming = await client.call_tool("get_upcoming_executions", {"hours_ahead": 48})
        assert len(coming.structured_content["items"]) == 2
    async with site.client("?toolsets=schedule", person) as client:
        ended = await client.call_tool("cancel_scheduled_workflow", {"schedule_id": "check", "reason": "no need"})
        assert ended.structured_content["state"] == "cancelled"


async def test_step_types_are_the_coordinators_own_and_those_that_hosts_have(site: Site) -> None:
    schema: dict[str, Json] = {"type": "object", "properties": {"paths": {"description": "\x1b[2J all of it"}}}
    offered: dict[str, Json] = {"name": "backup.create", "effect": "once", "params_schema": schema, "available": False}
    await site.desk.add_host("db1", step_types=(offered,))
    async with site.client("?toolsets=author") as client:
        listed = await client.call_tool("list_step_types", {"search": "backup"})
        assert listed.structured_content["items"] == [
            {"name": "backup.create", "effect": "once", "destructive": False, "hosts": ["db1"], "not_now": ["db1"]}
        ]
        everything = await client.call_tool("list_step_types", {"schema_of": "backup.create"})
        assert "validation.assert" in {each["name"] for each in everything.structured_content["items"]}
        shown = everything.structured_content["parameters_schema"]
        assert shown.startswith("<untrusted-output mark=")
        assert "paths" in shown
        assert (await client.call_tool("list_step_types", {"schema_of": "backup.creat"})).is_error
