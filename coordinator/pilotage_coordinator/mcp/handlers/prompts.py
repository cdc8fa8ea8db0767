"""`prompts/list` and `prompts/get`: pieces of work that begin in the same way every time."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Final

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError

from pilotage_coordinator.mcp.client import Client, Identify
from pilotage_coordinator.mcp.untrusted import clean

LONGEST: Final = 500
"""Characters of one argument."""


@dataclass(frozen=True, slots=True)
class Argument:
    """What a prompt is told; `default`: what it is told instead; `completes`: of what it is the name."""

    description: str
    default: str = ""
    completes: str = ""

    @property
    def required(self) -> bool:
        """Return whether it must be given."""
        return not self.default


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt. Its words stand in `prompts/NAME.md`; it is there where all the tools are that it speaks of."""

    title: str
    description: str
    tools: tuple[str, ...]
    arguments: Mapping[str, Argument] = field(default_factory=dict)


PROMPTS: Final[Mapping[str, Prompt]] = MappingProxyType(
    {
        "plan_an_upgrade": Prompt(
            "Plan an upgrade",
            "Find the blueprint for an upgrade, plan it, and show what it would do before anything is done.",
            ("list_workflows", "get_workflow_details", "list_hosts", "plan_workflow"),
            {"what": Argument("What to upgrade, and where: nginx on all web servers of staging.")},
        ),
        "triage_a_failed_run": Prompt(
            "Triage a failed run",
            "Find out why an execution failed, and what can be done.",
            ("explain_execution", "get_step_logs"),
            {"execution_id": Argument("The execution: exe_ and 32 digits.", completes="execution")},
        ),
        "morning_report": Prompt(
            "Morning report",
            "What ran since yesterday, what failed, what waits for people, and which hosts need a look.",
            ("list_workflow_executions", "get_pending_approvals", "list_hosts", "explain_execution"),
            {"since": Argument("A time, RFC 3339; else the last day.", default="yesterday at this time")},
        ),
        "write_a_blueprint": Prompt(
            "Write a blueprint",
            "Write a blueprint in YAML and check it; a person stores it.",
            ("get_workflow_details", "list_step_types", "validate_blueprint"),
            {"goal": Argument("What it is to do.")},
        ),
        "restore_drill": Prompt(
            "Restore drill",
            "Prove that a host's backup can be restored, and say how long it took.",
            ("list_workflows", "get_workflow_details", "get_host", "plan_workflow"),
            {"host": Argument("The host.", completes="host")},
        ),
    }
)


class PromptHandlers:
    """Lists and writes prompts."""

    def __init__(self, identify: Identify) -> None:
        """Take what tells who is behind a request."""
        self._identify = identify

    async def list(
        self, context: ServerRequestContext[Any, Any], params: types.PaginatedRequestParams | None
    ) -> types.ListPromptsResult:
        """List the prompts all of whose tools are there for the caller."""
        client = self._identify(context)
        client.note("prompts")
        return types.ListPromptsResult(
            prompts=[
                types.Prompt(
                    name=name,
                    title=prompt.title,
                    description=prompt.description,
                    arguments=[
                        types.PromptArgument(name=each, description=about.description, required=about.required)
                        for each, about in prompt.arguments.items()
                    ],
                )
                for name, prompt in PROMPTS.items()
                if there(client, prompt)
            ]
        )

    async def get(
        self, context: ServerRequestContext[Any, Any], params: types.GetPromptRequestParams
    ) -> types.GetPromptResult:
        """Write a prompt."""
        client = self._identify(context)
        client.note("prompt")
        prompt = PROMPTS.get(params.name)
        if prompt is None or not there(client, prompt):
            known = [name for name, each in PROMPTS.items() if there(client, each)]
            near = get_close_matches(params.name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known) or 'none'}"
            raise MCPError(types.INVALID_PARAMS, f"there is no such prompt for this credential: {hint}")
        text = written(params.name, _arguments(prompt, params.arguments or {}))
        return types.GetPromptResult(
            description=prompt.description,
            messages=[types.PromptMessage(role="user", content=types.TextContent(text=text))],
        )


def written(name: str, arguments: Mapping[str, str]) -> str:
    """Return a prompt's words with its arguments in their places."""
    text = _words(name)
    for argument, value in arguments.items():
        text = text.replace(f"{{{argument}}}", value)
    return text


@cache
def _words(name: str) -> str:
    return files("pilotage_coordinator.mcp").joinpath("prompts", f"{name}.md").read_text(encoding="utf-8").strip()


def there(client: Client, prompt: Prompt) -> bool:
    """Return whether a prompt is there for a client: whether all its tools are."""
    return all(client.has(each) for each in prompt.tools)


def _arguments(prompt: Prompt, given: Mapping[str, str]) -> dict[str, str]:
    unknown = sorted(set(given) - set(prompt.arguments))
    missing = [name for name, about in prompt.arguments.items() if about.required and not given.get(name, "").strip()]
    if unknown or missing:
        known = ", ".join(prompt.arguments) or "none"
        what = "an argument that it does not know" if unknown else f"no `{missing[0]}`"
        raise MCPError(types.INVALID_PARAMS, f"the prompt was given {what}; its arguments are {known}")
    if any(len(value) > LONGEST for value in given.values()):
        raise MCPError(types.INVALID_PARAMS, f"an argument of a prompt has at most {LONGEST} characters")
    return {
        name: " ".join(clean(given.get(name, "")).split()) or about.default for name, about in prompt.arguments.items()
    }
