import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

import pytest
from pilotage_coordinator.domain.fleet import HostInventory
from pilotage_coordinator.domain.plan import Json
from pilotage_coordinator.domain.proof import Proof, ProofKind
from pilotage_coordinator.store.errors import Conflict, NotFound, Refused
from pilotage_coordinator.store.protocol import Store
from pilotage_coordinator.store.records import HostRecord, Progress, SessionMarks

from tests.contract.store.records import NOW, audit, certificate, change, creation, host, token

DAY = 86_400_000_000


async def join(store: Store, name: str = "db1", serial: str = "", id: str = "") -> HostRecord:
    await store.enrolments.create(token(f"token of {name} {serial}"))
    joining = host(name, id)
    note = certificate(joining.id, serial or f"serial of {joining.id}")
    return await store.enrolments.consume(f"token of {name} {serial}", joining, note, NOW)


async def test_joining_uses_the_token_up_and_adds_host_and_certificate(store: Store) -> None:
    await store.enrolments.create(token(labels={"role": "db"}), audit=(audit("host.token"),))
    joined = await store.enrolments.consume("sha256:token", host(), certificate(), NOW, audit=(audit("host.join"),))
    assert joined == replace(host(), labels={"role": "db"}, certificate_serial="01")
    assert await store.hosts.get("hst_db1") == joined
    assert await store.hosts.named("db1") == joined
    assert await store.certificates.get("01") == certificate()
    used = await store.enrolments.get("sha256:token")
    assert (used.used_at, used.used_by) == (NOW, "hst_db1")
    assert (await store.audit.head()).sequence == 2


async def test_a_token_is_good_for_one_host(store: Store) -> None:
    await store.enrolments.create(token())
    await store.enrolments.consume("sha256:token", host(), certificate(), NOW)
    with pytest.raises(Refused, match="used already"):
        await store.enrolments.consume("sha256:token", host("db2"), certificate("hst_db2", "02"), NOW)
    with pytest.raises(NotFound):
        await store.hosts.named("db2")
    with pytest.raises(NotFound):
        await store.certificates.get("02")


async def test_of_many_that_use_a_token_at_once_one_joins(store: Store) -> None:
    await store.enrolments.create(token())
    calls = [
        store.enrolments.consume("sha256:token", host(f"db{n}"), certificate(f"hst_db{n}", f"{n}"), NOW)
        for n in range(10)
    ]
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(isinstance(result, HostRecord) for result in results) == 1
    assert sum(isinstance(result, Refused) for result in results) == 9
    assert len(await store.hosts.all()) == 1


async def test_the_same_request_again_gives_the_same_host(store: Store) -> None:
    await store.enrolments.create(token())
    await store.enrolments.consume("sha256:token", host(), certificate(), NOW)
    again = replace(host(), id="hst_new")
    found = await store.enrolments.consume("sha256:token", again, certificate("hst_new", "02"), NOW + 1)
    assert (found.id, found.certificate_serial) == ("hst_db1", "02")
    assert (await store.certificates.get("02")).host == "hst_db1"
    expired = NOW + 900_000_000
    with pytest.raises(Refused, match="expired"):
        await store.enrolments.consume("sha256:token", again, certificate("hst_new", "03"), expired)


async def test_the_same_request_is_refused_once_its_host_is_revoked(store: Store) -> None:
    await store.enrolments.create(token())
    await store.enrolments.consume("sha256:token", host(), certificate(), NOW)
    await store.hosts.revoke("hst_db1", NOW)
    with pytest.raises(Refused, match="used already"):
        await store.enrolments.consume("sha256:token", host(), certificate("hst_db1", "02"), NOW)


@pytest.mark.parametrize(
    ("hash", "at", "message"),
    [("sha256:none", NOW, "not known"), ("sha256:token", NOW + 900_000_000, "expired")],
)
async def test_a_bad_token_is_refused(store: Store, hash: str, at: int, message: str) -> None:
    await store.enrolments.create(token())
    with pytest.raises(Refused, match=message):
        await store.enrolments.consume(hash, host(), certificate(), at)
    assert await store.hosts.all() == ()


async def test_a_token_bound_to_a_name_takes_no_other(store: Store) -> None:
    await store.enrolments.create(token(host_name="web1"))
    with pytest.raises(Refused, match="for host `web1`, not `db1`"):
        await store.enrolments.consume("sha256:token", host(), certificate(), NOW)
    assert (await store.enrolments.get("sha256:token")).used_at is None


async def test_a_name_is_free_again_only_when_its_host_is_revoked(store: Store) -> None:
    await join(store)
    with pytest.raises(Refused, match="joined already"):
        await join(store, serial="02", id="hst_other")
    await store.hosts.revoke("hst_db1", NOW)
    second = await join(store, serial="03", id="hst_second")
    assert (await store.hosts.named("db1")).id == second.id == "hst_second"
    assert (await store.hosts.get("hst_db1")).revoked_at == NOW


async def test_expired_tokens_can_be_forgotten(store: Store) -> None:
    await store.enrolments.create(token())
    assert await store.enrolments.remove_expired(NOW) == 0
    assert await store.enrolments.remove_expired(NOW + 900_000_001) == 1


async def test_hosts_are_listed_by_name_in_pages(store: Store) -> None:
    for name in ("c", "a", "b", "d"):
        await join(store, name)
    await store.hosts.revoke("hst_b", NOW)
    assert [each.name for each in await store.hosts.all()] == ["a", "c", "d"]
    first = await store.hosts.find(limit=2)
    second = await store.hosts.find(first.cursor, limit=2)
    assert [each.name for each in first.rows + second.rows] == ["a", "c", "d"]
    assert second.cursor == ""
    assert [each.name for each in (await store.hosts.find(revoked=True)).rows] == ["a", "b", "c", "d"]


async def test_an_inventory_replaces_the_one_before(store: Store) -> None:
    await join(store)
    await join(store, "db2")
    types: tuple[Mapping[str, Json], ...] = ({"name": "command.run", "schema": {"type": "object"}},)
    for id in ("hst_db1", "hst_db2"):
        await store.hosts.record_inventory(id, HostInventory({"os": "debian"}, types, ({"plugin": "x"},)), NOW)
    found = await store.hosts.all()
    assert [each.step_types for each in found] == [types, types]
    assert found[0].step_types is found[1].step_types
    assert (found[0].facts, found[0].quarantined_plugins) == ({"os": "debian"}, ({"plugin": "x"},))
    await store.hosts.record_inventory("hst_db1", HostInventory({}, ()), NOW + 1)
    await store.maintain(NOW)
    assert (await store.hosts.get("hst_db1")).step_types == ()
    assert (await store.hosts.get("hst_db2")).step_types == types


async def test_what_is_said_of_a_host_is_kept(store: Store) -> None:
    await join(store)
    await store.hosts.record_sealing_key("hst_db1", b"k" * 32)
    await store.hosts.label("hst_db1", labels={"role": "db"}, audit=(audit("host.label"),))
    await store.hosts.label("hst_db1", variables={"port": 5432})
    await store.hosts.seen({"hst_db1": NOW + 5, "hst_none": NOW})
    await store.hosts.seen({"hst_db1": NOW + 3})
    found = await store.hosts.get("hst_db1")
    assert (found.sealing_key, found.labels, found.variables) == (b"k" * 32, {"role": "db"}, {"port": 5432})
    assert found.last_seen == NOW + 5


async def test_an_unknown_host_is_named(store: Store) -> None:
    with pytest.raises(NotFound, match="hst_9"):
        await store.hosts.get("hst_9")
    with pytest.raises(NotFound, match="hst_9"):
        await store.hosts.record_inventory("hst_9", HostInventory({}, ()), NOW)
    with pytest.raises(NotFound, match="hst_9"):
        await store.hosts.label("hst_9", labels={})
    with pytest.raises(NotFound, match="hst_9"):
        await store.hosts.revoke("hst_9", NOW)


async def opening(store: Store, marks: SessionMarks) -> SessionMarks:
    return await store.hosts.open_session("hst_db1", marks, agent_version="1", boot_id="b", at=NOW)


async def test_sessions_of_one_journal_go_forward(store: Store) -> None:
    await join(store)
    first, second = SessionMarks("j", 10, 1, 3), SessionMarks("j", 10, 2, 3)
    assert await opening(store, first) == SessionMarks()
    assert await opening(store, second) == first
    found = await store.hosts.get("hst_db1")
    assert (found.marks, found.agent_version, found.boot_id, found.last_seen) == (second, "1", "b", NOW)


@pytest.mark.parametrize(
    "marks",
    [SessionMarks("j", 10, 2, 3), SessionMarks("j", 9, 3, 3), SessionMarks("j", 10, 3, 2), SessionMarks("j", 11, 1, 3)],
)
async def test_a_session_that_goes_backward_is_a_conflict_and_changes_nothing(
    store: Store, marks: SessionMarks
) -> None:
    await join(store)
    now = SessionMarks("j", 10, 2, 3)
    await opening(store, now)
    with pytest.raises(Conflict, match="does not follow"):
        await opening(store, marks)
    assert (await store.hosts.get("hst_db1")).marks == now


async def test_another_journal_is_told_by_the_earlier_marks(store: Store) -> None:
    await join(store)
    await opening(store, SessionMarks("j", 10, 2, 3))
    assert (await opening(store, SessionMarks("k", 1, 1, 0))).journal_id == "j"


async def test_revoked_and_quarantined_hosts_open_no_session(store: Store) -> None:
    await join(store)
    await store.hosts.quarantine("hst_db1", "two of it", audit=(audit("host.quarantine"),))
    with pytest.raises(Refused, match="two of it"):
        await opening(store, SessionMarks("j", 1, 1, 1))
    await store.hosts.quarantine("hst_db1", "")
    await opening(store, SessionMarks("j", 1, 1, 1))
    await store.hosts.revoke("hst_db1", NOW)
    with pytest.raises(Refused, match="revoked"):
        await opening(store, SessionMarks("j", 1, 2, 1))


async def test_revoking_a_host_revokes_its_certificates(store: Store) -> None:
    await join(store, serial="01")
    await store.certificates.add(certificate(serial="02", not_after=NOW + 2 * DAY))
    await join(store, "db2", serial="03")
    assert await store.hosts.revoke("hst_db1", NOW, audit=(audit("host.revoke"),)) == ("01", "02")
    assert await store.certificates.denied(NOW) == {"01", "02"}
    assert await store.certificates.denied(NOW + DAY) == {"02"}
    with pytest.raises(Refused, match="revoked"):
        await store.certificates.add(certificate(serial="04"))


async def test_the_newest_certificate_is_the_hosts(store: Store) -> None:
    await join(store, serial="01")
    await store.certificates.add(certificate(serial="02"))
    assert (await store.hosts.get("hst_db1")).certificate_serial == "02"
    assert await store.certificates.remove_expired(NOW + 10 * DAY) == 1
    with pytest.raises(NotFound, match="01"):
        await store.certificates.get("01")
    assert (await store.certificates.get("02")).serial == "02"


async def test_a_used_token_is_no_good_for_another_key_under_the_same_name(store: Store) -> None:
    await store.enrolments.create(token())
    await store.enrolments.consume("sha256:token", host(), certificate(), NOW)
    thief = replace(host(), id="hst_thief", key_digest="sha256:thief")
    with pytest.raises(Refused, match="used already"):
        await store.enrolments.consume("sha256:token", thief, certificate("hst_thief", "02"), NOW)
    with pytest.raises(NotFound):
        await store.certificates.get("02")


async def test_a_host_that_is_released_is_judged_by_its_next_journal_alone(store: Store) -> None:
    added = await join(store)
    marks = SessionMarks("journal_1", 900, 30, 7)
    await store.hosts.open_session(added.id, marks, agent_version="1", boot_id="b", at=NOW)
    with pytest.raises(Refused, match="not in quarantine"):
        await store.hosts.release(added.id)
    await store.hosts.quarantine(added.id, "its journal went backward")
    restored = SessionMarks("journal_1", 100, 12, 6)
    with pytest.raises(Refused):
        await store.hosts.open_session(added.id, restored, agent_version="1", boot_id="b", at=NOW)
    await store.hosts.release(added.id, (audit("host.release"),))
    assert (await store.hosts.get(added.id)).quarantine == ""
    before = await store.hosts.open_session(added.id, restored, agent_version="1", boot_id="b", at=NOW)
    assert before.journal_id not in ("", "journal_1"), "its journal counts as another one"
    assert [row.entry.operation for row in await store.audit.read()] == ["host.release"]
    with pytest.raises(NotFound):
        await store.hosts.release("hst_nobody")


def proof(at: int, kind: ProofKind = ProofKind.BACKUP, *, passed: bool = True, execution: str = "exe_1") -> Proof:
    return Proof(kind, passed, NOW + at, execution, "backup", "srv", {"snapshot_id": f"s{at}"})


async def test_the_newest_proof_of_each_kind_and_outcome_is_kept_with_the_change_that_brings_it(
    store: Store, reopen: Callable[[], Awaitable[Store]]
) -> None:
    await join(store)
    await store.executions.create(creation())
    assert await store.hosts.proofs(["hst_db1", "hst_none"]) == {"hst_db1": (), "hst_none": ()}
    drill = proof(2, ProofKind.DRILL)
    brought = (("db1", proof(5)), ("db1", proof(3)), ("nobody", proof(9)), ("db1", drill))
    await store.executions.commit(change(proofs=brought))
    failed = proof(7, passed=False)
    with pytest.raises(Conflict):
        await store.executions.commit(change(version=0, proofs=(("db1", proof(99)),)))
    await store.executions.commit(change(version=1, proofs=(("db1", failed), ("db1", proof(4)))))
    store = await reopen()
    assert (await store.hosts.proofs(["hst_db1"]))["hst_db1"] == (failed, proof(5), drill)
    assert await store.hosts.last_passed(ProofKind.BACKUP) == {"db1": NOW + 5}
    assert await store.hosts.last_passed(ProofKind.DRILL) == {"db1": NOW + 2}


async def test_a_machine_that_takes_a_name_over_inherits_no_proof(store: Store) -> None:
    await join(store)
    await store.executions.create(creation())
    await store.executions.commit(change(proofs=(("db1", proof(5)),)))
    await store.hosts.revoke("hst_db1", NOW + 6)
    await join(store, serial="02", id="hst_other")
    assert await store.hosts.last_passed(ProofKind.BACKUP) == {}
    assert await store.hosts.proofs(["hst_db1", "hst_other"]) == {"hst_db1": (proof(5),), "hst_other": ()}


async def test_a_proof_outlives_the_execution_that_brought_it(store: Store) -> None:
    await join(store)
    await store.executions.create(creation())
    ended = Progress("completed", outcome="completed", ended_at=NOW + 1)
    await store.executions.commit(change(proofs=(("db1", proof(5)),), progress=ended))
    assert (await store.executions.prune(NOW + 2)).executions == ("exe_1",)
    assert await store.hosts.last_passed(ProofKind.BACKUP) == {"db1": NOW + 5}
