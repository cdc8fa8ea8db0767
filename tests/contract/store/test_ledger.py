import asyncio
from dataclasses import replace

import pytest
from pilotage_coordinator.store.errors import Conflict, NotFound, Refused
from pilotage_coordinator.store.protocol import Store
from pilotage_coordinator.store.records import AnswerRecord, AuditHead, SecretRecord
from pilotage_proto.audit_head import FIRST_HASH
from pilotage_proto.canonical import digest

from tests.contract.store.conftest import Reopen
from tests.contract.store.records import NOW, audit

ANSWER = AnswerRecord("key", "ann", "run.start", "sha256:r", {"execution": "exe_1"}, NOW + 100)
SECRET = SecretRecord("restic/db1", b"\x00cipher", NOW, "ann")


async def test_the_log_is_a_chain_from_a_known_beginning(store: Store) -> None:
    assert await store.audit.head() == AuditHead()
    head = await store.audit.append(audit("a"), audit("b", detail={"n": 1.5, "ä": [True, None]}))
    first, second = await store.audit.read()
    assert (first.sequence, first.previous, second.previous) == (1, FIRST_HASH, first.hash)
    assert head == await store.audit.head() == AuditHead(2, second.hash)
    entry = audit("a")
    assert first.hash == digest(
        {
            "sequence": 1,
            "at": entry.at,
            "principal": "ann",
            "operation": "a",
            "subject": "exe_1",
            "outcome": "allowed",
            "detail": {"from": "cli"},
            "previous": FIRST_HASH,
        }
    )


async def test_entries_written_at_once_make_one_chain(store: Store) -> None:
    await asyncio.gather(*(store.audit.append(audit(f"operation {n}")) for n in range(50)))
    verdict = await store.audit.verify()
    assert (verdict.checked, verdict.fault) == (50, "")


async def test_entries_are_read_both_ways(store: Store) -> None:
    await store.audit.append(*(audit(f"{n}") for n in range(1, 6)))
    assert [record.sequence for record in await store.audit.read(after=1, limit=2)] == [2, 3]
    assert [record.sequence for record in await store.audit.newest(limit=2)] == [5, 4]
    assert [record.sequence for record in await store.audit.newest(before=4, limit=9)] == [3, 2, 1]


async def test_an_entry_that_has_no_canonical_form_is_refused_alone(store: Store) -> None:
    results = await asyncio.gather(
        store.audit.append(audit("a")),
        store.audit.append(audit("b", detail={"n": 2**60})),
        store.audit.append(audit("c")),
        return_exceptions=True,
    )
    assert isinstance(results[1], Refused)
    verdict = await store.audit.verify()
    assert (verdict.checked, verdict.fault) == (2, "")


async def test_verification_remembers_a_head_that_was_seen(store: Store, reopen: Reopen) -> None:
    seen = await store.audit.append(audit("a"), audit("b"))
    await store.audit.append(audit("c"))
    assert (await store.audit.verify([seen])).fault == ""
    other = replace(seen, hash="sha256:other")
    assert "rewritten" in (await store.audit.verify([other])).fault
    for both in ([other, seen], [seen, other]):
        assert "rewritten" in (await store.audit.verify(both)).fault
    assert "ends at entry 3" in (await store.audit.verify([AuditHead(9, "sha256:other")])).fault


async def test_an_answer_is_kept_until_it_expires(store: Store) -> None:
    await store.answers.remember(ANSWER, NOW)
    assert await store.answers.get("ann", "key", NOW + 99) == ANSWER
    assert await store.answers.get("ann", "key", NOW + 100) is None
    assert await store.answers.get("bob", "key", NOW) is None


async def test_an_answer_is_replaced_only_when_expired(store: Store) -> None:
    await store.answers.remember(ANSWER, NOW)
    other = replace(ANSWER, request_digest="sha256:s", expires_at=NOW + 300)
    with pytest.raises(Conflict, match="`key` of ann"):
        await store.answers.remember(other, NOW + 99)
    await store.answers.remember(other, NOW + 100)
    assert await store.answers.get("ann", "key", NOW + 100) == other
    assert await store.answers.remove_expired(NOW + 300) == 1


async def test_secrets_are_kept_replaced_and_removed(store: Store) -> None:
    assert await store.secrets.put(SECRET, audit=(audit("secret.set"),))
    assert not await store.secrets.put(replace(SECRET, ciphertext=b"new"))
    await store.secrets.put(replace(SECRET, name="a"))
    assert (await store.secrets.get("restic/db1")).ciphertext == b"new"
    assert [secret.name for secret in await store.secrets.list()] == ["a", "restic/db1"]
    await store.secrets.remove("a", NOW, audit=(audit("secret.rm"),))
    with pytest.raises(NotFound, match="secret set a"):
        await store.secrets.get("a")
    with pytest.raises(NotFound):
        await store.secrets.remove("a", NOW, audit=(audit("secret.rm"),))
    assert (await store.audit.head()).sequence == 2


async def test_each_value_that_is_set_is_a_version_and_earlier_ones_are_kept_for_a_while(store: Store) -> None:
    for number in range(30):
        await store.secrets.put(replace(SECRET, ciphertext=b"%d" % number, updated_at=NOW + number))
    assert (await store.secrets.get(SECRET.name)).version == 30
    assert await store.secrets.earlier(SECRET.name) == tuple(b"%d" % number for number in range(28, 8, -1))
    await store.secrets.remove(SECRET.name, NOW + 40)
    assert (await store.secrets.earlier(SECRET.name))[0] == b"29"
    await store.secrets.put(replace(SECRET, ciphertext=b"again"))
    assert (await store.secrets.get(SECRET.name)).version == 31
    assert await store.secrets.forget(NOW + 30) == 19
    assert await store.secrets.earlier(SECRET.name) == (b"29",)


async def test_epochs_only_grow(store: Store, reopen: Reopen) -> None:
    assert await store.epoch() == 0
    assert await store.begin_epoch() == 1
    assert await store.begin_epoch(at_least=7) == 7
    assert await store.begin_epoch(at_least=3) == 8
    assert await (await reopen()).epoch() == 8


async def test_the_coordinators_identity_is_given_once(store: Store, reopen: Reopen) -> None:
    assert store.coordinator_id == "coo_1"
    assert (await reopen()).coordinator_id == "coo_1"
