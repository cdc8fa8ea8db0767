"""From text to a tree of nodes: YAML 1.2, bounded in every direction, with its old traps refused.

ruamel.yaml scans and parses; composing and resolving are done here, because only so every node keeps its place, every
limit holds before the work is done, and `yes`, `0644` and their like can be refused instead of guessed.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from pilotage_coordinator.domain.blueprint.errors import BlueprintError, Problem, Problems, at_nowhere
from pilotage_coordinator.domain.blueprint.nodes import ListNode, MapNode, Node, Scalar, ScalarNode
from pilotage_coordinator.domain.blueprint.position import Position

LARGEST_FILE = 1024 * 1024
DEEPEST = 40
MOST_NODES = 120_000
"""Of the whole tree, with every alias counted as what it stands for: 24 for each of 5,000 steps, which fill a file.
With `MOST_LINES`, what keeps the reading of any file to some seconds of a thread: a value takes some forty
microseconds, a line five."""
MOST_LINES = 50_000

_SPLIT = "split it into several files of blueprints"
_LARGEST_INTEGER = 2**53 - 1
_INTEGER = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?:\.[0-9]*)?[eE][-+]?[0-9]+|\.[0-9]+[eE][-+]?[0-9]+)")
_OLD_BOOLEANS = frozenset(
    form for word in ("yes", "no", "on", "off") for form in (word, word.capitalize(), word.upper())
)
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_BASED = re.compile(r"0[xo][0-9a-fA-F]+")
_BRACES = 'quote it: "${{ … }}"; unquoted braces are a YAML mapping'


class _Refused(Exception):
    """The file cannot be read further; the problem is already noted."""


@dataclass(slots=True)
class _Anchor:
    node: Node
    weight: int
    depth: int


@dataclass(slots=True)
class _Reading:
    file: str
    problems: Problems
    events: Iterator[Any]
    anchors: dict[str, _Anchor] = field(default_factory=dict)
    nodes: int = 0


def read_tree(text: str, problems: Problems) -> Node:
    """Return the one document of `text`. Raises BlueprintError when there is no tree to go on with; problems that
    leave one (a repeated key, an old boolean) are only noted."""
    file = problems.file
    if len(text) > LARGEST_FILE or len(text.encode(errors="surrogatepass")) > LARGEST_FILE:
        raise at_nowhere(file, f"the file is larger than {LARGEST_FILE} bytes", _SPLIT)
    if len(text) > MOST_LINES and len(text.splitlines()) > MOST_LINES:
        raise at_nowhere(file, f"the file has more than {MOST_LINES} lines", _SPLIT)
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise at_nowhere(file, "the file is no valid UTF-8", "save it as UTF-8")
    reading = _Reading(file, problems, iter(()))
    try:
        reading.events = iter(YAML(typ="safe", pure=True).parse(text))
        return _document(reading)
    except _Refused:
        raise BlueprintError(problems.found) from None
    except MarkedYAMLError as error:
        raise BlueprintError([*problems.found, _syntax(file, error, text)]) from None
    except (YAMLError, ValueError) as error:
        first = str(error).strip().splitlines()
        raise at_nowhere(file, f"this is no YAML: {first[0] if first else 'it cannot be read'}") from None


def _document(reading: _Reading) -> Node:
    root: Node | None = None
    for event in reading.events:
        name = type(event).__name__
        if name == "DocumentStartEvent" and root is not None:
            _refuse(reading, event, "a second document starts here", "one file holds one document; remove `---`")
        if name in ("StreamStartEvent", "StreamEndEvent", "DocumentStartEvent", "DocumentEndEvent"):
            continue
        root, _, _ = _node(reading, event, 1)
    if root is None or (isinstance(root, ScalarNode) and root.value is None):
        raise at_nowhere(reading.file, "the file is empty", "a blueprint starts with `pilotage: 1` and `workflows:`")
    return root


def _node(reading: _Reading, event: Any, depth: int) -> tuple[Node, int, int]:
    """Return the node that starts with `event`, how many nodes it counts as, and how deep it goes below itself."""
    if depth > DEEPEST:
        _refuse(reading, event, f"this is nested deeper than {DEEPEST} levels", "flatten it")
    name = type(event).__name__
    if name == "AliasEvent":
        return _alias(reading, event, depth)
    _count(reading, event, 1)
    if event.tag is not None and not (name == "ScalarEvent" and event.tag == "!" and event.style):
        _refuse_tag(reading, event)
    if name == "ScalarEvent":
        node: Node = _scalar(reading, event)
        weight, below = 1, 0
    elif name == "SequenceStartEvent":
        node, weight, below = _list(reading, event, depth)
    else:
        node, weight, below = _map(reading, event, depth)
    if event.anchor is not None:
        reading.anchors[event.anchor] = _Anchor(node, weight, below)
    return node, weight, below


def _alias(reading: _Reading, event: Any, depth: int) -> tuple[Node, int, int]:
    anchor = reading.anchors.get(event.anchor)
    if anchor is None:
        _refuse(reading, event, f"`*{event.anchor}` stands before, or inside, the anchor that it names")
        raise AssertionError
    _count(reading, event, anchor.weight)
    if depth + anchor.depth > DEEPEST:
        _refuse(reading, event, f"this alias nests deeper than {DEEPEST} levels", "flatten it")
    return anchor.node, anchor.weight, anchor.depth


def _list(reading: _Reading, start: Any, depth: int) -> tuple[Node, int, int]:
    items: list[Node] = []
    weight, below = 1, 0
    for event in reading.events:
        if type(event).__name__ == "SequenceEndEvent":
            break
        node, more, deep = _node(reading, event, depth + 1)
        items.append(node)
        weight, below = weight + more, max(below, deep + 1)
    return ListNode(tuple(items), _at(reading, start)), weight, below


def _map(reading: _Reading, start: Any, depth: int) -> tuple[Node, int, int]:
    entries: dict[str, tuple[ScalarNode, Node]] = {}
    weight, below = 1, 0
    for event in reading.events:
        if type(event).__name__ == "MappingEndEvent":
            break
        key = _key(reading, event)
        value, more, deep = _node(reading, next(reading.events), depth + 1)
        weight, below = weight + more + 1, max(below, deep + 1)
        if key.text in entries:
            first = entries[key.text][0].at
            message = f"the key `{key.text[:60]}` is written twice: here and in line {first.line}"
            reading.problems.add(key.at, (key.text,), message, "keep one")
        else:
            entries[key.text] = (key, value)
    return MapNode(tuple(entries.values()), _at(reading, start)), weight, below


def _key(reading: _Reading, event: Any) -> ScalarNode:
    _count(reading, event, 1)
    name = type(event).__name__
    if name == "MappingStartEvent":
        _refuse(reading, event, "a key is a mapping", _BRACES)
    if name != "ScalarEvent":
        _refuse(reading, event, "a key is no plain text", "keys are text")
    if event.tag is not None and not event.style:
        _refuse_tag(reading, event)
    if event.value == "<<" and not event.style:
        _refuse(reading, event, "`<<` (merge keys) is not part of this language", "write the keys out, or use defaults")
    text = _joined(reading, event)
    return ScalarNode(text, text, not event.style, _at(reading, event))


def _scalar(reading: _Reading, event: Any) -> ScalarNode:
    text = _joined(reading, event)
    unquoted = not event.style
    at = _at(reading, event)
    value: Scalar = text
    if unquoted:
        trap = _trap(text)
        if trap is None:
            value = _resolve(text)
        else:
            reading.problems.add(at, (), *trap)
    return ScalarNode(value, text, unquoted, at)


def _joined(reading: _Reading, event: Any) -> str:
    """Return a scalar's text. JSON writes letters beyond the first plane as two escapes: they become one letter."""
    text: str = event.value
    if not any("\ud800" <= letter <= "\udfff" for letter in text):
        return text
    try:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
    except UnicodeDecodeError:
        _refuse(reading, event, "an escape here is half a letter", "write the letter itself")
        raise


def _trap(text: str) -> tuple[str, str] | None:
    """Return message and hint for an unquoted value that different YAML readers understand differently."""
    if text in _OLD_BOOLEANS:
        boolean = "true" if text.lower() in ("yes", "on") else "false"
        return f"unquoted `{text}` is a boolean to some readers and text to others", f'write "{text}" or {boolean}'
    if _INTEGER.fullmatch(text):
        digits = text.lstrip("+-")
        if digits.startswith("0") and len(digits) > 1:
            return f"unquoted `{text[:40]}` loses its leading zero", f'quote it: "{text[:40]}"'
        if len(digits) > 16 or int(digits) > _LARGEST_INTEGER:
            return "this integer is beyond ±(2^53 - 1), which JSON readers do not keep exactly", "quote it as text"
    if _BASED.fullmatch(text):
        return (
            f"`{text[:40]}` is a number to some readers and text to others",
            f'write it in decimals, or "{text[:40]}"',
        )
    if _NOT_FINITE.fullmatch(text) or (_FLOAT.fullmatch(text) and float(text) in (float("inf"), float("-inf"))):
        return f"`{text[:40]}` is no finite number", "write a finite number"
    return None


def _resolve(text: str) -> Scalar:
    """Resolve an unquoted value as YAML 1.2's core schema does."""
    if text in ("", "~", "null", "Null", "NULL"):
        return None
    if text in ("true", "True", "TRUE"):
        return True
    if text in ("false", "False", "FALSE"):
        return False
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


def _count(reading: _Reading, event: Any, weight: int) -> None:
    reading.nodes += weight
    if reading.nodes > MOST_NODES:
        _refuse(
            reading, event, f"the file holds more than {MOST_NODES} values once its aliases are written out", _SPLIT
        )


def _refuse_tag(reading: _Reading, event: Any) -> None:
    tag = str(event.tag).replace("tag:yaml.org,2002:", "!!")[:60]
    _refuse(reading, event, f"`{tag}` is read as a YAML tag", f'quote a text that starts with "!": "{tag}"')


def _refuse(reading: _Reading, event: Any, message: str, hint: str = "") -> None:
    reading.problems.add(_at(reading, event), (), message, hint)
    raise _Refused


def _at(reading: _Reading, event: Any) -> Position:
    mark = event.start_mark
    return Position(reading.file, mark.line + 1, mark.column + 1)


def _syntax(file: str, error: MarkedYAMLError, text: str) -> Problem:
    mark = error.problem_mark or error.context_mark
    said = " ".join(str(error.problem or error.context or "it cannot be read").split())
    hint = ""
    if r"'\t'" in said:
        said, hint = "a tab is used as indentation", "YAML indents with spaces"
    elif "expected ',' or" in said or "mapping values are not allowed" in said:
        hint = "a text with `: `, `{`, `}`, `[`, `]` or `,` in it needs quotes, and so does ${{ … }} inside { } or [ ]"
    elif "expected ' ', but found" in said:
        said, hint = "a word that begins with ! is a YAML tag", "quote the condition"
    line, column = (mark.line + 1, mark.column + 1) if mark is not None else (0, 0)
    if not hint and "{{" in "".join(text.splitlines()[line - 1 : line]):
        hint = _BRACES
    return Problem(file, line, column, "", f"this is no YAML: {said[:200]}", hint)
