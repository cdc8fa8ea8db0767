"""The reference part of docs/cli.md, made from the commands themselves.

`python -m tests.unit.cli.reference` writes it anew; a test compares.
"""

from pathlib import Path
from typing import Any

from pilotage_coordinator.cli.app import PLACES
from pilotage_coordinator.cli.deferred import load
from pilotage_coordinator.cli.examples import EXAMPLES

PAGE = Path(__file__).parents[3] / "docs" / "cli.md"
BEGIN = "<!-- reference: made by `python -m tests.unit.cli.reference`; change the commands, not this part -->\n"


def commands() -> dict[str, Any]:
    """Return every command by its words, in the order of the table."""
    found: dict[str, Any] = {}
    for name, place in PLACES.items():
        command: Any = load(name, place)
        if hasattr(command, "list_commands"):
            context = command.make_context(name, [], resilient_parsing=True)
            for inner in command.list_commands(context):
                found[f"{name} {inner}"] = command.get_command(context, inner)
        else:
            found[name] = command
    return found


def reference() -> str:
    """Return a section for each command: usage, what it does, arguments, options, examples."""
    return "\n".join(_section(words, command) for words, command in commands().items())


def _section(words: str, command: Any) -> str:
    parameters = [each for each in command.params if each.name != "help"]
    arguments = [each for each in parameters if each.param_type_name == "argument"]
    options = [each for each in parameters if each.param_type_name == "option" and not each.hidden]
    usage = " ".join(
        [f"pilotage {words}", *(["[OPTIONS]"] if options else []), *(_argument(each) for each in arguments)]
    )
    lines = [f"### {words}", "", "```", usage, "```", "", _prose(command.help), ""]
    rows = [(_argument(each), each.help or "") for each in arguments] + [
        (_option(each), _help(each)) for each in options
    ]
    if rows:
        lines += ["| | |", "|---|---|", *(f"| `{_cell(name)}` | {_cell(text)} |" for name, text in rows), ""]
    return "\n".join([*lines, "```console", *(f"$ {line}" for line in EXAMPLES[words]), "```", ""])


def _argument(argument: Any) -> str:
    text = argument.metavar or argument.name.upper()
    text += "…" if argument.nargs == -1 else ""
    return text if argument.required else f"[{text}]"


def _option(option: Any) -> str:
    names = ", ".join([*option.opts, *option.secondary_opts])
    return names if option.is_flag else f"{names} {option.metavar}"


def _help(option: Any) -> str:
    text = option.help or ""
    if option.required:
        return f"{text} Required."
    default = option.default
    return f"{text} Default: {default}." if option.show_default and default not in (None, False, True, "", 0) else text


def _prose(text: str | None) -> str:
    return "\n\n".join(" ".join(part.split()) for part in (text or "").split("\n\n"))


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def page(text: str) -> str:
    """Return the page with its reference made anew."""
    return text.partition(BEGIN)[0] + BEGIN + "\n" + reference()


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
