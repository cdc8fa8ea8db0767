"""Who may do what, and what the audit log says of it."""

import base64
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pilotage_coordinator.domain.execution.errors import Refused
from pilotage_coordinator.service import control, executions, hosts, secrets
from pilotage_coordinator.service.errors import Conflict, Denied, NotFound, Unavailable
from pilotage_coordinator.service.operations import OPERATIONS
from pilotage_coordinator.service.verb import verb
from pilotage_coordinator.service.verbs import ALL, VERBS
from pilotage_coordinator.service.wire import Answer, Request
from pilotage_coordinator.store.errors import StoreUnavailable
from pilotage_coordinator.store.records import RecoveryRecord
from pilotage_proto import delegation
from pilotage_proto.decision import Statement
from pilotage_proto.recovery import Recovery
from structlog.testing import capture_logs

from tests.unit.service.desk import (
    ANN,
    APPROVAL,
    DELEGATION,
    DIGEST,
    EXECUTION,
    GUEST,
    KEY,
    NOTIFICATION,
    OWNER,
    POLICY,
    SOURCE,
    TOKEN,
    Desk,
    OneBackup,
)

RECIPIENT = "age1w9a9e6uma3zp3jh6mrvygyqd8ejs49k8ccq4h2gmurhkfx9ccyeslglmhr"
RECOVERY = Recovery("coo_1", 1, "sha256:" + "0" * 64, 2, "sha256:" + "1" * 64, 5)
SINCE, UNTIL = datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)


def lent_by(name: str) -> str:
    """Return the signature, by Ann's key, under which somebody lends their say in the example."""
    return ANN.proof(delegation.Lending(name, "bob", SINCE, UNTIL), delegation.NAMESPACE)


EXAMPLES: dict[str, dict[str, Any]] = {
    "blueprint.show": {"blueprint": "check"},
    "blueprint.validate": {"source": SOURCE},
    "blueprint.add": {"source": SOURCE, "file": "check.yaml"},
    "blueprint.choices": {"blueprint": "check", "parameter": "note"},
    "plan.make": {"source": SOURCE},
    "plan.show": {"digest": DIGEST},
    "run.start": {"what": {"source": SOURCE}},
    "exec": {"command": ["uptime"], "limit_to": "role=db"},
    "run.show": {"execution": EXECUTION},
    "run.watch": {"execution": EXECUTION},
    "run.replay": {"execution": EXECUTION},
    "run.close": {"execution": EXECUTION, "outcome": "successful"},
    "run.pause": {"execution": EXECUTION},
    "run.resume": {"execution": EXECUTION},
    "run.cancel": {"execution": EXECUTION},
    "run.retry": {"execution": EXECUTION},
    "run.resolve": {"execution": EXECUTION, "step": "sane", "host": "db1", "outcome": "failed"},
    "run.release": {"execution": EXECUTION, "gate": "look"},
    "schedule.create": {"name": "weekly", "blueprint": "check", "cron": "@weekly"},
    "schedule.update": {"schedule": "nightly", "jitter": "5m"},
    "schedule.enable": {"schedule": "off"},
    "schedule.pause": {"schedule": "nightly"},
    "schedule.resume": {"schedule": "held"},
    "schedule.cancel": {"schedule": "nightly"},
    "schedule.run": {"schedule": "nightly"},
    "schedule.show": {"schedule": "nightly"},
    "schedule.firings": {"schedule": "nightly"},
    "schedule.explain": {"cron": "0 2 * * 1-5"},
    "logs.read": {"execution": EXECUTION},
    "logs.follow": {"execution": EXECUTION},
    "host.show": {"host": "db1"},
    "host.set": {"host": "db1", "labels": {"role": "web"}},
    "host.release": {"host": "db1", "reason": "looked at it"},
    "host.revoke": {"host": "db1"},
    "secret.set": {"name": "a/b", "value_base64": "c2VjcmV0"},
    "secret.grant": {"name": "known", "grants": [{"blueprints": ["nightly_*"], "hosts": "role=db"}], "was": []},
    "secret.export": {"recipients": [RECIPIENT]},
    "secret.rm": {"name": "known"},
    "policy.set": {"source": POLICY, "file": "policy.yaml"},
    "policy.rollback": {"version": 1},
    "policy.test": {"source": POLICY},
    "policy.explain": {"operation": "container.upgrade", "host": "db1"},
    "approval.show": {"approval": APPROVAL},
    "approval.approve": {"approval": APPROVAL, "proof": ANN.proof(Statement(APPROVAL, "approve", DIGEST))},
    "approval.reject": {"approval": APPROVAL, "proof": ANN.proof(Statement(APPROVAL, "reject", DIGEST))},
    "approval.delegate": {
        "to": "bob",
        "since": SINCE.isoformat(),
        "until": UNTIL.isoformat(),
        "proof": lent_by("ann"),
    },
    "approval.undelegate": {"delegation": DELEGATION},
    "compliance.check": {"blueprint": "check"},
    "notification.retry": {"notification": NOTIFICATION},
    "backup.create": {"plain": True},
    "recovery.sign": {
        "statement": base64.b64encode(RECOVERY.statement).decode(),
        "signature": "-----BEGIN SSH SIGNATURE-----\n",
    },
    "principal.add": {"principal": "eva", "kind": "person"},
    "principal.show": {"principal": "bot"},
    "principal.disable": {"principal": "bot"},
    "principal.enable": {"principal": "bot"},
    "principal.role": {"principal": "bot", "role": "auditor", "action": "add"},
    "principal.keys": {"principal": "bob", "add": [KEY]},
    "role.show": {"role": "nightly"},
    "role.set": {"role": "nightly", "permissions": ["run.start"]},
    "role.rm": {"role": "unused"},
    "token.create": {"principal": "bot"},
    "token.rotate": {"token": TOKEN},
    "token.revoke": {"token": TOKEN},
}


async def world(desk: Desk) -> None:
    """Put into the store what the examples speak of."""
    await desk.add_host()
    await desk.add_execution()
    await desk.add_principals()
    await desk.set_policy()
    await desk.add_approval()
    for added in [await secrets.set_secret(desk.services, OWNER, _request(secrets.set_secret, name="known"))]:
        assert added.new
    for name, state in (("nightly", "active"), ("held", "paused"), ("off", "disabled")):
        await desk.add_schedule(name, state=state)
    library = next(each for each in VERBS if each.operation == "blueprint.add")
    if not await desk.store.blueprints.versions("check"):
        await library.function(desk.services, OWNER, _request(library))


def _request(verb: Any, **fields: Any) -> Any:
    return verb.request(**{**EXAMPLES.get(verb.operation, {}), **fields})


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.operation)
async def test_an_owner_may_and_each_write_leaves_exactly_one_entry_of_its_own(
    desk: Desk, verb: Any, tmp_path: Path
) -> None:
    await world(desk)
    before = len(await desk.audit())
    request = _request(verb)
    if verb.operation == "run.close":
        await desk.end_execution()
    if verb.operation == "host.release":
        await desk.store.hosts.quarantine("hst_db1", "its journal went backward")
    if verb.operation == "notification.retry":
        await desk.add_dead_notification()
    if verb.operation == "backup.create":
        # What is in one is tested where it is made; the desk's store is in memory.
        object.__setattr__(desk.services, "backups", OneBackup(tmp_path))
    if verb.operation.startswith("recovery."):
        await desk.store.audit.recover(RecoveryRecord(RECOVERY.statement), 5, ())
    if verb.operation == "blueprint.add":
        request = _request(verb, source=SOURCE.replace("1.0.0", "1.1.0"))
    answer = await verb(desk.services, OWNER, request)
    verb.answer.model_validate(answer.model_dump())
    written = (await desk.audit())[before:]
    own = [each for each in written if each[:2] == (verb.operation, "allowed")]
    assert len(own) == (1 if OPERATIONS[verb.operation].audited else 0), written
    assert all(outcome == "allowed" for _, outcome, _ in written)


@pytest.mark.parametrize(
    "verb",
    [each for each in ALL if OPERATIONS[each.operation].permission not in ("run.read", "self.read")],
    ids=lambda verb: verb.operation,
)
async def test_without_the_permission_nothing_happens_and_the_attempt_is_recorded(desk: Desk, verb: Any) -> None:
    await world(desk)
    before = await desk.audit()
    with pytest.raises(Denied, match="eve may not do") as refusal:
        await verb(desk.services, GUEST, _request(verb))
    assert OPERATIONS[verb.operation].permission in refusal.value.fix
    (entry,) = (await desk.audit())[len(before) :]
    assert entry[:2] == (verb.operation, "denied")
    assert desk.runs.submitted == []
    assert not desk.coordinator.stopping


async def test_an_operation_without_a_row_is_denied_to_everybody(desk: Desk) -> None:
    @verb("host.explode")
    async def explode(services: Any, caller: Any, request: Request) -> Answer:
        """Do harm."""
        raise AssertionError("it ran")

    with pytest.raises(Denied, match="no row"):
        await explode(desk.services, OWNER, Request())


async def test_what_the_engine_refuses_is_a_conflict_with_its_words_and_recorded(desk: Desk) -> None:
    await desk.add_execution()
    desk.runs.refuse = Refused("it has ended; nothing can be paused")
    with pytest.raises(Conflict, match="it has ended"):
        await control.pause_run(desk.services, OWNER, control.ControlRun(execution=EXECUTION))
    assert (await desk.audit())[-1] == ("run.pause", "refused", EXECUTION)


async def test_what_does_not_exist_is_not_found(desk: Desk) -> None:
    with pytest.raises(NotFound):
        await executions.show_run(desk.services, OWNER, executions.ShowRun(execution=EXECUTION))
    with pytest.raises(NotFound):
        await hosts.show_host(desk.services, OWNER, hosts.NamedHost(host="db9"))


async def test_no_audit_entry_holds_a_secret_or_a_token(desk: Desk) -> None:
    await secrets.set_secret(desk.services, OWNER, _request(secrets.set_secret))
    await hosts.make_token(desk.services, OWNER, hosts.MakeToken())
    text = repr(await desk.store.audit.read())
    assert "c2VjcmV0" not in text
    assert "plg1" not in text
    assert desk.secrets.values == {"a/b": b"secret"}


async def test_what_is_refused_while_nothing_can_be_stored_is_answered_and_logged(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*entries: Any) -> None:
        raise StoreUnavailable("the disk is full")

    monkeypatch.setattr(desk.store.audit, "append", full)
    with capture_logs() as logged:
        with pytest.raises(Unavailable, match="full"):
            await executions.start_run(desk.services, OWNER, _request(executions.start_run))
        with pytest.raises(Denied):
            await hosts.revoke_host(desk.services, GUEST, _request(hosts.revoke_host))
    found = [(each["event"], each["operation"], each["outcome"]) for each in logged]
    assert found == [("audit.not_stored", "run.start", "refused"), ("audit.not_stored", "host.revoke", "denied")]
