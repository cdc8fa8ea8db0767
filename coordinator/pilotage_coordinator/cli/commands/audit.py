"""`pilotage audit`."""

import json
import sys
from pathlib import Path
from typing import Annotated, Final, TextIO

import typer
from pilotage_client import ClientError, PilotageClient

from pilotage_coordinator.audit.entry import AuditHead
from pilotage_coordinator.audit.file import LONGEST_LINE, FileVerdict, verify_file
from pilotage_coordinator.cli.exits import ExitCode
from pilotage_coordinator.cli.moments import local, option_moment
from pilotage_coordinator.cli.screen import Screen
from pilotage_coordinator.cli.session import perform, usage

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    help="Search, check and export the log of who did what.",
)

LONGEST_DETAIL: Final = 100
_HIDDEN: Final = ("principal_kind",)


@app.command()
def search(
    context: typer.Context,
    principal: Annotated[
        str, typer.Option("--principal", metavar="NAME", help="Only what this one did or tried.")
    ] = "",
    operation: Annotated[
        str, typer.Option("--operation", metavar="NAME", help="Such as run.start; run: all that begin with `run.`.")
    ] = "",
    subject: Annotated[str, typer.Option("--subject", metavar="ID", help="Only about this execution, host, …")] = "",
    outcome: Annotated[
        str, typer.Option("--outcome", metavar="OUTCOME", help="allowed, denied, refused or reported.")
    ] = "",
    since_: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="From then on: 2h, 7d, 2026-11-30 or RFC 3339.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="TIME", help="Before then, in the same forms.")
    ] = None,
    limit: Annotated[int, typer.Option("-n", "--limit", metavar="COUNT", min=1, help="At most so many.")] = 50,
) -> None:
    """Search the audit log, newest first: who did what to which thing, and what was denied."""
    after, before = option_moment("--since", since_), option_moment("--until", until)

    async def work(client: PilotageClient, screen: Screen) -> None:
        rows = await client.search_audit(
            principal=principal,
            operation=operation,
            subject=subject,
            outcome=outcome,
            since=after,
            until=before,
            limit=limit,
        )
        if screen.json:
            screen.object(rows)
            return
        screen.table(
            ("ENTRY", "AT", "WHO", "OPERATION", "OUTCOME", "SUBJECT", "DETAIL"),
            [
                (
                    str(row["sequence"]),
                    local(row["at"]),
                    row["principal"],
                    row["operation"],
                    row["outcome"],
                    row["subject"],
                    _short({name: value for name, value in row["detail"].items() if name not in _HIDDEN}),
                )
                for row in rows
            ],
            "No entry fits.",
        )

    perform(context, work)


@app.command()
def verify(
    context: typer.Context,
    file: Annotated[
        Path | None, typer.Option("--file", metavar="FILE", help="Check an export, without any coordinator.")
    ] = None,
    key: Annotated[
        str, typer.Option("--key", metavar="FINGERPRINT", help="The key that must have signed the exported file.")
    ] = "",
    head: Annotated[
        str, typer.Option("--head", metavar="ENTRY:HASH", help="An entry as it was seen earlier; it must still stand.")
    ] = "",
) -> None:
    """Check the whole audit log: every link, the signature, and what hosts have seen of it.

    The first thing that does not hold is named, and the exit code is 1. Compare the key's fingerprint with one that
    was noted elsewhere: whoever holds the coordinator's files could sign another log with another key.
    """
    known = _known(head)
    if key and file is None:
        raise usage("--key is about a file: give --file too")

    async def work(client: PilotageClient, screen: Screen) -> ExitCode | None:
        if file is not None:
            return _show_file(screen, file, _check(file, key, known))
        found = await client.verify_audit(known=(known.sequence, known.hash) if known is not None else None)
        if screen.json:
            screen.object(found)
        elif found["sound"]:
            seen = ", ".join(f"{each['host']} up to {each['sequence']}" for each in found["witnesses"][:10])
            screen.line(f"sound: {found['checked']} entries, unbroken, signed with key {found['key_fingerprint']}")
            screen.line(f"head: {found['head']['sequence']}:{found['head']['hash']}")
            screen.line(f"seen by hosts: {seen or 'none has told yet; each tells when it connects'}")
        else:
            screen.error(found["fault"])
            screen.say(f"{found['checked']} entries before it hold")
            screen.hint("keep a copy of the state folder, export the log, and find out who could write to it")
        return None if found["sound"] else ExitCode.FAILED

    perform(context, work)


@app.command()
def export(
    context: typer.Context,
    to: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="A new file; else the screen.")
    ] = None,
) -> None:
    """Export the audit log as JSON Lines that anybody can check: docs/audit.md has the format."""

    async def work(client: PilotageClient, screen: Screen) -> None:
        if to is None:
            await _write(client, sys.stdout)
            return
        try:
            with to.open("x", encoding="utf-8", newline="\n") as out:
                count = await _write(client, out)
        except OSError as error:
            raise ClientError(f"{to}: {error.strerror}", "give another file; none is written over") from error
        if screen.json:
            screen.object({"file": str(to), "entries": count})
        else:
            screen.line(f"{count} entries and the signed head are in {to}")

    perform(context, work)


async def _write(client: PilotageClient, out: TextIO) -> int:
    """Write an export; return how many entries it has."""
    head, count = "", 0
    async for part in client.export_audit():
        head = head or part["head"]
        count += len(part["lines"])
        out.writelines(line + "\n" for line in part["lines"])
    out.write(head + "\n")
    return count


def _check(file: Path, key: str, known: AuditHead | None) -> FileVerdict:
    try:
        with file.open("rb") as lines:
            return verify_file(iter(lambda: lines.readline(LONGEST_LINE), b""), key, known)
    except OSError as error:
        raise ClientError(f"{file}: {error.strerror}") from error


def _show_file(screen: Screen, file: Path, verdict: FileVerdict) -> ExitCode | None:
    if screen.json:
        screen.object(
            {
                "sound": not verdict.fault,
                "fault": verdict.fault,
                "checked": verdict.checked,
                "first": verdict.first,
                "log": verdict.log,
                "key_fingerprint": verdict.key_fingerprint,
            }
        )
    elif verdict.fault:
        screen.error(f"{file}: {verdict.fault}")
        screen.say(f"{verdict.checked} entries before it hold")
    else:
        screen.line(f"sound: {verdict.checked} entries from {verdict.first} of {verdict.log}")
        screen.line(f"signed with key {verdict.key_fingerprint}")
    return ExitCode.FAILED if verdict.fault else None


def _known(text: str) -> AuditHead | None:
    if not text:
        return None
    sequence, _, hash_ = text.partition(":")
    if not sequence.isdecimal() or not hash_.startswith("sha256:"):
        raise usage(f"--head {text!r}: ENTRY:HASH is needed, as `audit verify` shows it, such as 12:sha256:…")
    return AuditHead(int(sequence), hash_)


def _short(detail: dict[str, object]) -> str:
    text = json.dumps(detail, ensure_ascii=False) if detail else ""
    return text if len(text) <= LONGEST_DETAIL else text[: LONGEST_DETAIL - 1] + "…"
