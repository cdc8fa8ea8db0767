"""What people hand to commands: files, parameters, labels."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from pilotage_coordinator.cli.exits import NotUnderstood

LARGEST_FILE = 10 << 20


def read_blueprint(file: Path, stdin: TextIO) -> str:
    """Return the text of a blueprint file, or of standard input for `-`; raise NotUnderstood if it cannot be read."""
    if str(file) == "-":
        return stdin.read(LARGEST_FILE + 1)
    try:
        if file.stat().st_size > LARGEST_FILE:
            raise NotUnderstood(f"{file} is larger than {LARGEST_FILE >> 20} MiB", "a blueprint has at most 1 MiB")
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise NotUnderstood(f"{file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise NotUnderstood(f"{file} is no UTF-8 text (byte {error.start})", "save it as UTF-8") from error


def read_parameters(given: Sequence[str]) -> dict[str, str]:
    """Return the texts of `NAME=VALUE`; the coordinator reads each by its parameter's type. Later ones win."""
    found: dict[str, str] = {}
    for each in given:
        name, equals, text = each.partition("=")
        if not equals or not name:
            raise NotUnderstood(f"parameter {each!r} is not NAME=VALUE", "write it as -p days=30")
        found[name] = text
    return found


def read_labels(given: Sequence[str]) -> dict[str, str | None]:
    """Return labels from `NAME=VALUE`; an empty value removes the label."""
    found: dict[str, str | None] = {}
    for each in given:
        name, equals, text = each.partition("=")
        if not equals or not name:
            raise NotUnderstood(f"label {each!r} is not NAME=VALUE", "write it as role=db, or role= to remove it")
        found[name] = text or None
    return found


def read_json_object(file: Path) -> dict[str, Any]:
    """Return the JSON object in a file; raise NotUnderstood if there is none."""
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise NotUnderstood(f"{file}: {error.strerror}") from error
    except ValueError as error:
        raise NotUnderstood(f"{file} is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise NotUnderstood(f"{file} holds no JSON object")
    return value
