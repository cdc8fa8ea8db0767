"""The tools over real HTTP, by the SDK's own client, in three versions of the protocol."""

import pytest

from tests.integration.mcp.site import Site
from tests.unit.service.desk import EXECUTION

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
