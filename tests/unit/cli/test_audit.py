"""`pilotage audit`: searching, checking and exporting, from the command line down to the store."""

from dataclasses import replace
from pathlib import Path

import pytest
from pilotage_coordinator.service.audit import ExportAudit, export_audit
from pilotage_coordinator.service.errors import Conflict

from tests.unit.audit import third_party
from tests.unit.audit.logs import ENTRIES, audit_key
from tests.unit.cli.terminal import Terminal
from tests.unit.service.desk import OWNER, Desk, open_desk


async def _busy(desk: Desk) -> None:
    await desk.store.audit.append(*ENTRIES)


def test_the_audit_log_is_searched_newest_first(terminal: Terminal) -> None:
    said = terminal.run("audit", "search", "--operation", "run", prepare=_busy)
    assert [line.split()[0] for line in said.out.splitlines()] == ["ENTRY", "3", "2"]
    found = terminal.run("--json", "audit", "search", "--outcome", "denied", prepare=_busy).json
    assert [(row["principal"], row["operation"]) for row in found] == [("bot", "run.start")]
    when = ("--since", "2026-09-21T14:13:20.000001+00:00", "--until", "2026-09-21T14:13:20.000003+00:00")
    assert [row["sequence"] for row in terminal.run("--json", "audit", "search", *when, prepare=_busy).json] == [3, 2]
    assert terminal.run("audit", "search", "--subject", "nobody", prepare=_busy).out == ""
    assert terminal.run("audit", "search", "--since", "soon").code == 2


def test_a_sound_log_is_said_to_be_and_another_one_is_not(terminal: Terminal) -> None:
    said = terminal.run("audit", "verify", prepare=_busy)
    assert (said.code, "4 entries, unbroken" in said.out) == (0, True)

    async def edited(desk: Desk) -> None:
        await _busy(desk)
        await desk.edit_audit("UPDATE audit_log SET principal = 'eve' WHERE sequence = 2")

    said = terminal.run("audit", "verify", prepare=edited)
    assert (said.code, "audit entry 2 was changed" in said.err) == (1, True)
    other = terminal.run("audit", "verify", "--head", "3:sha256:" + "0" * 64, prepare=_busy)
    assert (other.code, "entry 3 is not the one that was seen earlier" in other.err) == (1, True)
    assert terminal.run("audit", "verify", "--head", "3").code == 2


def test_an_export_is_checked_without_a_coordinator(terminal: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    said = terminal.run("audit", "export", "-o", str(file), prepare=_busy)
    assert "4 entries" in said.out
    assert third_party.problem(file.read_bytes(), audit_key().fingerprint) == ""
    assert terminal.run("audit", "export", prepare=_busy).out == file.read_text()
    assert terminal.run("audit", "export", "-o", str(file), prepare=_busy).code == 1
    checked = ("audit", "verify", "--file", str(file), "--key")
    assert terminal.run(*checked, audit_key().fingerprint).code == 0
    said = terminal.run(*checked, "ab" * 32)
    assert (said.code, "line 5" in said.err) == (1, True)
    file.write_bytes(file.read_bytes().replace(b"denied", b"allowed"))
    said = terminal.run("--json", *checked, audit_key().fingerprint)
    assert (said.code, "line 3 (entry 3)" in said.json["fault"]) == (1, True)


async def test_a_long_log_is_exported_in_parts_and_to_the_head_that_was_read_first() -> None:
    desk, disk = await open_desk()
    await desk.store.audit.append(*(replace(ENTRIES[0], subject=f"{number}") for number in range(1200)))
    first = await export_audit(desk.services, OWNER, ExportAudit(limit=500))
    await desk.store.audit.append(ENTRIES[1])
    lines = list(first.lines)
    after = first.next
    while after:
        part = await export_audit(desk.services, OWNER, ExportAudit(after=after, until=first.head_sequence, limit=350))
        lines, after = [*lines, *part.lines], part.next
        assert part.head == ""
    assert len(lines) == 1200
    data = "".join(f"{line}\n" for line in [*lines, first.head]).encode()
    assert third_party.problem(data, audit_key().fingerprint) == ""
    await desk.store.close()
    disk.close()


async def test_an_entry_that_cannot_be_written_is_said_and_leaves_the_doctor_to_name_it() -> None:
    desk, disk = await open_desk()
    await _busy(desk)
    await desk.edit_audit("UPDATE audit_log SET at = 9007199254740993 WHERE sequence = 2")
    with pytest.raises(Conflict, match="audit verify"):
        await export_audit(desk.services, OWNER, ExportAudit())
    assert "entry 2 was changed" in (await desk.services.audit.verify()).fault
    await desk.store.close()
    disk.close()
