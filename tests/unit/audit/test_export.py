"""An export proves itself, to our own verifier and to one that was written from the document alone."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from pilotage_coordinator.audit.entry import AuditHead
from pilotage_coordinator.audit.file import verify_file

from tests.unit.audit import third_party
from tests.unit.audit.logs import audit_key, exported, records

KEY = audit_key().fingerprint


def ours(data: bytes, known: AuditHead | None = None, key: str = KEY) -> str:
    return verify_file(data.splitlines(keepends=True), key, known).fault


def lines_of(data: bytes) -> list[bytes]:
    return data.split(b"\n")[:-1]


def test_a_whole_log_is_sound() -> None:
    data = exported()
    verdict = verify_file(data.splitlines(keepends=True), KEY)
    assert (verdict.fault, verdict.checked, verdict.first, verdict.log) == ("", 4, 1, "coo_1")
    assert third_party.problem(data, KEY) == ""


def test_the_auditors_script_runs_alone(tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    file.write_bytes(exported())
    script = [sys.executable, "-I", third_party.__file__, str(file), KEY]
    assert subprocess.run(script, capture_output=True, text=True).stdout == "sound\n"
    source = Path(third_party.__file__).read_text()
    assert re.findall(r"^(?:from|import) (?:pilotage|tests)", source, re.MULTILINE) == []


def test_every_flipped_bit_of_an_export_is_found_and_its_line_named() -> None:
    data = exported()
    line = 1
    for position in range(len(data)):
        for bit in range(8):
            flipped = bytearray(data)
            flipped[position] ^= 1 << bit
            for said in (ours(bytes(flipped)), third_party.problem(bytes(flipped), KEY)):
                named = re.search(r"line (\d+)", said)
                assert named, (position, bit, said)
                # The hash of a line stands in the next one: there it is seen. A new line break moves what follows.
                assert int(named[1]) in (line, line + 1), (position, bit, said)
        line += data[position] == ord("\n")


def test_an_entry_that_is_left_out_inserted_or_moved_is_found() -> None:
    lines = lines_of(exported())
    for wrong in (
        [*lines[:1], *lines[2:]],
        lines[1:],
        [*lines[:2], lines[1], *lines[2:]],
        [lines[1], lines[0], *lines[2:]],
        lines[:-1],
        lines[:-2] + lines[-1:],
        [*lines, lines[-1]],
    ):
        data = b"".join(each + b"\n" for each in wrong)
        assert "line" in third_party.problem(data, KEY)
        # Our own also takes a part of a log, which says where it begins.
        part = verify_file(data.splitlines(keepends=True), KEY)
        assert part.fault or part.first > 1


def test_a_log_signed_with_another_key_or_rewritten_is_found_by_who_knows_better() -> None:
    data = exported()
    assert "made with key" in ours(data, key="ab" * 32)
    assert "another key" in third_party.problem(data, "ab" * 32)
    third = records()[2]
    assert ours(data, AuditHead(3, third.hash)) == ""
    assert "entry 3" in ours(data, AuditHead(3, "sha256:" + "1" * 64))
    assert "ends at entry 4" in ours(data, AuditHead(9, third.hash))


@pytest.mark.parametrize("line", [b"", b"[]", b"\xff", b"{}", b'{"sequence":true}', b"[" * 100_000])
def test_what_is_no_line_of_a_log_is_refused_by_its_number(line: bytes) -> None:
    data = exported().replace(b"\n", b"\n" + line + b"\n", 1)
    assert "line 2" in ours(data)
    assert "line 2" in third_party.problem(data)


def test_an_empty_log_is_a_signed_beginning() -> None:
    assert "signed head" in ours(b"")
