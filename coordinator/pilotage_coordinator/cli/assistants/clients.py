"""The settings that clients of assistants want, each in the form and place of its own."""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

SERVER: Final = "pilotage"


@dataclass(frozen=True, slots=True)
class ClientKind:
    """One client: its settings' form, and where they go."""

    name: str
    place: str
    form: str
    """`mcpServers`, `servers`, `toml`, `command`: how it writes what is to be started."""


CLIENTS: Final[Mapping[str, ClientKind]] = MappingProxyType(
    {
        each.name: each
        for each in (
            ClientKind("claude-code", "run this once, in the project where it is to be used", "command"),
            ClientKind("claude-desktop", "claude_desktop_config.json (Settings, Developer, Edit Config)", "mcpServers"),
            ClientKind("cursor", "~/.cursor/mcp.json, or .cursor/mcp.json in a project", "mcpServers"),
            ClientKind("vscode", ".vscode/mcp.json in a project", "servers"),
            ClientKind("codex", "~/.codex/config.toml", "toml"),
            ClientKind("gemini-cli", "~/.gemini/settings.json", "mcpServers"),
            ClientKind("other", "wherever your client keeps the servers that it starts", "mcpServers"),
        )
    }
)


def snippet(client: ClientKind, command: Sequence[str]) -> str:
    """Return the text that makes a client start `command`, a program and its arguments."""
    program, *arguments = command
    if client.form == "command":
        return f"claude mcp add {SERVER} -- {shlex.join(command)}"
    if client.form == "toml":
        values = ", ".join(json.dumps(each) for each in arguments)
        return f"[mcp_servers.{SERVER}]\ncommand = {json.dumps(program)}\nargs = [{values}]"
    started: dict[str, Any] = {"command": program, "args": arguments}
    if client.form == "servers":
        started = {"type": "stdio", **started}
    return json.dumps({client.form: {SERVER: started}}, indent=2)
