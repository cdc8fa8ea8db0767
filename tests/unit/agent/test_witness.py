"""A host that has seen an entry of the audit log goes back before it only by a record that the owner has signed."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from pilotage_agent.messages import AuditHead, Recovery
from pilotage_agent.witness import Witness, judge, read_owners, witness_from_json, witness_to_json
from pilotage_proto import recovery as records
from pilotage_proto.recovery import NAMESPACE, RecoveryRefused, read_recovery

HASHES = {number: f"sha256:{number:064x}" for number in range(20)}
SEEN = AuditHead("coo_1", 9, HASHES[9], b"k" * 32, b"s" * 64)
RECORD = records.Recovery("coo_1", 4, HASHES[4], 9, HASHES[9], 7)


def shown(sequence: int, hash_: str = "") -> AuditHead:
    return AuditHead("coo_1", sequence, hash_ or HASHES[sequence])


def unsigned(record: records.Recovery = RECORD) -> Recovery:
    return Recovery(record.statement, "")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    for name in ("owner", "other"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    return folder


def signed(keys: Path, by: str, record: records.Recovery = RECORD, namespace: str = NAMESPACE) -> Recovery:
    command = ["ssh-keygen", "-Y", "sign", "-q", "-n", namespace, "-f", str(keys / by)]
    done = subprocess.run(command, input=record.statement, capture_output=True, check=True)
    return Recovery(record.statement, done.stdout.decode())


def owners(keys: Path) -> tuple[str, ...]:
    return ((keys / "owner.pub").read_text(),)


def unused(name: str) -> bool:
    return False


def test_a_log_that_goes_on_is_taken() -> None:
    for head in (shown(9), shown(10), shown(19)):
        assert judge(SEEN, head, (), (), unused).refusal == ""
    assert judge(None, shown(1), (), ("ssh-ed25519 x",), unused).refusal == ""
    assert judge(None, None, (), (), unused).refusal == ""


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (None, "shows no audit log"),
        (shown(8), "ends at entry 8, but this host has seen entry 9"),
        (shown(9, HASHES[1]), "entry 9 .* is not the one"),
        (replace(shown(12), log="coo_2"), "coo_2"),
    ],
)
def test_one_that_goes_back_or_is_another_is_refused(head: AuditHead | None, said: str) -> None:
    refusal = judge(SEEN, head, (), (), unused).refusal
    with pytest.raises(AssertionError, match=said):
        raise AssertionError(refusal)
    assert judge(SEEN, head, (unsigned(),), (), unused).refusal == "" or head is None or head.log == "coo_2"


def test_a_record_of_another_restore_excuses_nothing() -> None:
    for wrong in (
        replace(RECORD, lost=8),
        replace(RECORD, resumes=9, lost=12),
        replace(RECORD, lost_hash=HASHES[1]),
        replace(RECORD, log="coo_2"),
    ):
        assert "No recovery record covers" in judge(SEEN, shown(5), (unsigned(wrong),), (), unused).refusal
    damaged = Recovery(RECORD.statement + b" ", "")
    assert "canonical" in judge(SEEN, shown(5), (damaged,), (), unused).refusal
    further = unsigned(replace(RECORD, lost=12, lost_hash=HASHES[12]))
    assert judge(SEEN, shown(5), (unsigned(replace(RECORD, lost=8)), further), (), unused).refusal == ""


def test_a_host_that_knows_an_owner_goes_back_by_the_owners_signature_alone(keys: Path) -> None:
    good = signed(keys, "owner")
    ruling = judge(SEEN, shown(5), (good,), owners(keys), unused)
    assert (ruling.refusal, ruling.consume[:9]) == ("", "recovery:")
    other = replace(RECORD, at=8)
    for bad in (
        unsigned(),
        signed(keys, "other"),
        signed(keys, "owner", namespace="decision@pilotage"),
        Recovery(other.statement, good.signature),
        Recovery(RECORD.statement, "no signature"),
    ):
        assert "pilotage backup accept" in judge(SEEN, shown(5), (bad,), owners(keys), unused).refusal
    assert judge(SEEN, shown(5), (unsigned(other), good), owners(keys), unused).refusal == ""
    assert "accept" in judge(SEEN, shown(5), (good,), ("ssh-ed25519 damaged",), unused).refusal


def test_a_record_is_used_once(keys: Path) -> None:
    good = signed(keys, "owner")
    first = judge(SEEN, shown(5), (good,), owners(keys), unused).consume
    again = judge(SEEN, shown(5), (good,), owners(keys), lambda name: name == first)
    assert "used here before" in again.refusal


def test_owners_are_read_from_files_and_a_file_that_cannot_be_read_is_not_an_empty_one(tmp_path: Path) -> None:
    assert read_owners(tmp_path / "none") == ()
    (tmp_path / "owners").write_text("# me\nssh-ed25519 AAAA me\n\n")
    assert read_owners(tmp_path / "none", tmp_path / "owners") == ("ssh-ed25519 AAAA me",)
    (tmp_path / "owners").write_bytes(b"\xff")
    with pytest.raises(ValueError, match="decode"):
        read_owners(tmp_path / "owners")
    with pytest.raises(OSError, match="directory"):
        read_owners(tmp_path)


def test_what_was_seen_is_kept_whole() -> None:
    assert witness_from_json(witness_to_json(Witness("hst_1", SEEN))) == Witness("hst_1", SEEN)
    assert witness_from_json(witness_to_json(None)) is None


@pytest.mark.parametrize(
    "text",
    [b"", b"[]", b"{}", b'{"lost":1}', b"\xff", b"[" * 100_000, RECORD.statement.replace(b"9", b"9.0"), b"x" * 5000],
)
def test_what_is_no_record_is_refused(text: bytes) -> None:
    with pytest.raises(RecoveryRefused):
        read_recovery(text)
    assert read_recovery(RECORD.statement) == RECORD
