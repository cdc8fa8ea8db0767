"""Compliance through its operations: checked on demand with evidence, and reported by blueprint and period."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pilotage_coordinator.domain.plan import Json
from pilotage_coordinator.domain.policy.content import policy_content
from pilotage_coordinator.domain.policy.loader import load_policy
from pilotage_coordinator.domain.proof import ProofKind
from pilotage_coordinator.service import blueprints, compliance
from pilotage_coordinator.service.errors import Invalid, NotFound
from pilotage_coordinator.store.records import ComplianceRecord, PolicyRecord

from tests.unit.service.desk import EXECUTION, NOW, OWNER, SOURCE, Desk

RULES = """\
policy: 1
rules: []
compliance:
  - {name: told, enforce: warn, require: {owner: true}}
  - {name: fresh, enforce: block, hosts: role=db, require: {backup_within: 24h}}
"""
OWNED = SOURCE.replace('version: "1.0.0"', 'version: "1.1.0"\n    owner: ops')


async def prepare(desk: Desk, source: str = SOURCE) -> None:
    policy = load_policy(RULES, "p.yaml")
    version = desk.policies.version + 1
    await desk.policies.put(PolicyRecord(version, RULES, policy_content(policy), NOW, "ann"), ())
    add = blueprints.add_blueprint
    await add(desk.services, OWNER, add.request(source=source, file="check.yaml"))


async def check(desk: Desk, blueprint: str | None = "check", **more: Any) -> compliance.ComplianceChecked:
    request = compliance.CheckCompliance(blueprint=blueprint, all=blueprint is None, **more)
    return await compliance.check_compliance(desk.services, OWNER, request)


async def report(desk: Desk, **more: Any) -> compliance.ComplianceReport:
    return await compliance.report_compliance(desk.services, OWNER, compliance.ReportCompliance(**more))


def shown(answer: compliance.ComplianceChecked) -> list[tuple[str, str, str]]:
    return [(each.rule, each.requirement, each.result) for one in answer.blueprints for each in one.findings]


async def test_without_any_execution_or_selector_no_host_is_known_and_nothing_passes_silently(desk: Desk) -> None:
    await prepare(desk)
    answer = await check(desk)
    assert shown(answer) == [
        ("told", "owner", "failed"),
        ("fresh", "when", "unknown"),
        ("fresh", "backup_within", "unknown"),
    ]
    (only,) = answer.blueprints
    assert (only.outcome, only.hosts, answer.rules, answer.policy) == ("blocked", "", 2, 1)
    assert (await desk.audit())[-1] == ("compliance.check", "allowed", "check")


async def test_the_hosts_of_the_newest_execution_are_looked_at_with_their_backups(desk: Desk) -> None:
    await prepare(desk, OWNED)
    await desk.add_host("db1")
    await desk.add_execution()
    await desk.prove("db1", ProofKind.BACKUP, passed=True, detail={"snapshot_id": "abc"})
    row = await desk.store.executions.get(EXECUTION)
    desk.disk.connection.execute(
        "UPDATE plans SET content = json_set(content, '$.host_ids', json('{\"db1\": \"hst_db1\"}'))"
    )
    (only,) = (await check(desk)).blueprints
    assert (only.outcome, only.hosts) == ("passed", f"the hosts of its newest execution, {row.id}")
    (owner, fresh) = only.findings
    assert owner.evidence == [{"owner": "ops", "result": "passed"}]
    assert fresh.evidence[0]["snapshot_id"] == "abc"
    assert fresh.evidence[0]["execution"] == EXECUTION


async def test_a_selector_says_which_hosts_and_one_that_finds_none_is_not_known(desk: Desk) -> None:
    await prepare(desk, OWNED)
    await desk.add_host("db1")
    (only,) = (await check(desk, limit_to="role=db")).blueprints
    assert [each.result for each in only.findings] == ["passed", "failed"]
    assert only.findings[1].message == "no good backup within 1d of db1"
    with pytest.raises(NotFound):
        await check(desk, "nothing")
    every = await check(desk, None, limit_to="role=db")
    assert [each.blueprint for each in every.blueprints] == ["check"]
    with pytest.raises(ValueError, match="name a blueprint"):
        compliance.CheckCompliance()


def kept(execution: str = "", outcome: str = "passed", at: int = NOW, result: str = "passed") -> ComplianceRecord:
    finding: dict[str, Json] = {
        "rule": "told",
        "enforce": "warn",
        "requirement": "owner",
        "result": result,
        "message": "m",
    }
    content: dict[str, Json] = {"policy": 1, "at": at, "findings": [finding]}
    return ComplianceRecord(
        at, "start", execution, "check", "1.0.0", "sha256:1", "sha256:2", "ann", "person", 1, outcome, content
    )


async def test_a_report_counts_every_check_and_what_was_never_checked_in_its_period(desk: Desk) -> None:
    await desk.add_execution()
    other = EXECUTION[:-1] + "2"
    await desk.add_execution(other)
    await desk.store.compliance.add(kept(EXECUTION))
    await desk.store.compliance.add(kept(outcome="blocked", result="unknown"))
    await desk.store.compliance.add(replace(kept(at=NOW - 10_000_000), blueprint="other", outcome="nothing"))
    answer = await report(desk)
    assert [each.blueprint for each in answer.blueprints] == ["check", "other"]
    check = answer.blueprints[0]
    assert (check.passed, check.warned, check.blocked, check.unchecked) == (1, 0, 1, 1)
    assert [each.model_dump() for each in check.rules] == [{"rule": "told", "passed": 1, "failed": 0, "unknown": 1}]
    assert [each.execution for each in check.checks] == [EXECUTION, ""]
    since = datetime.fromtimestamp(NOW / 1e6, UTC) - timedelta(seconds=5)
    assert [each.blueprint for each in (await report(desk, since=since)).blueprints] == ["check"]
    assert [each.blueprint for each in (await report(desk, until=since)).blueprints] == ["other"]
    assert [each.blueprint for each in (await report(desk, blueprint="other")).blueprints] == ["other"]
    with pytest.raises(Invalid, match="ends before it begins"):
        await report(desk, since=since, until=since)


async def test_a_long_report_tells_the_first_checks_and_counts_the_others(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compliance, "MOST_CHECKS", 2)
    for _ in range(5):
        await desk.store.compliance.add(kept())
    answer = await report(desk)
    (check,) = answer.blueprints
    assert (len(check.checks), check.passed, answer.left_out) == (2, 5, 3)
