"""Operations by faces: every one has its route and its command, and its tool or a reason why it has none."""

from pilotage_coordinator.api.routes import ROUTES
from pilotage_coordinator.mcp.catalogue import TOOLS, WITHOUT
from pilotage_coordinator.service.operations import OPERATIONS

from tests.unit.mcp.reference import PAGE, page
from tests.unit.service.test_operations import COMMANDS


def test_each_operation_is_reached_by_every_face_or_says_why_not() -> None:
    by_tools = {each for tool in TOOLS.values() for each in (*tool.operations, *tool.also)}
    lacking = {
        name: [
            face
            for face, reached in (
                ("http", {route.verb.operation for route in ROUTES}),
                ("cli", COMMANDS.keys()),
                ("mcp", by_tools | WITHOUT.keys()),
            )
            if name not in reached
        ]
        for name in OPERATIONS
    }
    assert {name: faces for name, faces in lacking.items() if faces} == {}
    assert by_tools & WITHOUT.keys() == set()
    assert set(OPERATIONS) >= WITHOUT.keys()
    assert all(WITHOUT.values())


def test_the_page_is_what_the_tools_say() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text == page(text), "write it anew: python -m tests.unit.mcp.reference"
