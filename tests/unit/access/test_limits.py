"""Limits of grants where they count: what lies outside is neither seen nor started, and hosts outside are not asked."""

from dataclasses import replace
from typing import Any

import pytest
from pilotage_coordinator.domain.access.grant import Grant
from pilotage_coordinator.domain.access.principal import PrincipalKind
from pilotage_coordinator.domain.access.role import BUILT_IN
from pilotage_coordinator.domain.access.scope import scope_of
from pilotage_coordinator.service import blueprints, control, executions, hosts, logs, notifications, plans, seen, verbs
from pilotage_coordinator.service.caller import Caller
from pilotage_coordinator.service.errors import Conflict, Denied, NotFound
from pilotage_coordinator.service.executions import ListRuns, ShowRun, StartRun
from pilotage_coordinator.service.operations import OPERATIONS, About
from pilotage_coordinator.service.plans import MakePlan, ShowPlan, WhatToRun
from pilotage_coordinator.store.records import (
    BlueprintRecord,
    ExecutionCreation,
    ExecutionInputs,
    ExecutionRecord,
    PlanRecord,
    PrincipalRecord,
    Progress,
)

from tests.unit.service.desk import ANN, DIGEST, EXECUTION, NOW, OWNER, SOURCE, Desk, plan
from tests.unit.service.test_guard import EXAMPLES, lent_by, world

BACKUP = SOURCE.replace("  check:", "  nightly:").replace("name: Check", "name: Nightly\n    category: backup")
OTHER = "exe_" + "0" * 31 + "9"


def limited(role: str = "owner", **limits: Any) -> Caller:
    """Return a person who holds a role within limits."""
    return Caller("lim", PrincipalKind.PERSON, (Grant(BUILT_IN[role], scope_of(limits)),))


async def stored(desk: Desk, source: str, execution: str) -> BlueprintRecord:
    """Store a blueprint and an execution of it, on db1."""
    (row,) = await desk.services.library.add(source, "f.yaml", added_by="ann", audit=())
    made = plan(("db1",), digest=f"sha256:{execution[-1] * 64}")
    made = replace(made, blueprint=replace(made.blueprint, id=row.id, version=row.version, digest=row.digest))
    content = {**_json(made), "host_ids": {"db1": "hst_db1"}}
    await desk.store.plans.put(PlanRecord(made.digest, content, {}, NOW))
    record = ExecutionRecord(execution, row.id, row.version, made.digest, "ann", NOW, Progress("running"))
    await desk.store.executions.create(ExecutionCreation(record, ExecutionInputs()))
    return row


def _json(made: Any) -> dict[str, Any]:
    ref = made.blueprint
    return {
        "blueprint": {"id": ref.id, "version": ref.version, "digest": ref.digest},
        "targets": list(made.targets),
    }


@pytest.fixture
async def two(desk: Desk) -> Desk:
    """Two blueprints, one of the category backup, and an execution of each; db1 in staging, db2 in production."""
    await desk.add_host("db1", environment="staging")
    await desk.add_host("db2", environment="production")
    await stored(desk, BACKUP, EXECUTION)
    await stored(desk, SOURCE, OTHER)
    return desk


async def runs(desk: Desk, caller: Caller) -> set[str]:
    return {each.id for each in (await executions.list_runs(desk.services, caller, ListRuns())).items}


async def test_who_may_read_one_category_sees_no_other(two: Desk) -> None:
    caller = limited("auditor", categories=["backup"])
    listed = await blueprints.list_blueprints(two.services, caller, blueprints.ListBlueprints())
    assert [each.id for each in listed.items] == ["nightly"]
    assert await runs(two, caller) == {EXECUTION}
    assert (await executions.show_run(two.services, caller, ShowRun(execution=EXECUTION))).blueprint == "nightly"
    for denied in (
        blueprints.show_blueprint(two.services, caller, blueprints.ShowBlueprint(blueprint="check")),
        executions.show_run(two.services, caller, ShowRun(execution=OTHER)),
        logs.read_logs(two.services, caller, logs.ReadLogs(execution=OTHER)),
        executions.watch_run(two.services, caller, executions.WatchRun(execution=OTHER)),
        plans.show_plan(two.services, caller, ShowPlan(digest="sha256:" + "9" * 64)),
        hosts.show_host(two.services, caller, hosts.NamedHost(host="db1")),
    ):
        with pytest.raises(Denied, match="lim may not do"):
            await denied
    assert await runs(two, OWNER) == {EXECUTION, OTHER}


async def test_who_may_start_one_category_starts_no_other(two: Desk) -> None:
    caller = limited("operator", categories=["backup"])
    started = await executions.start_run(two.services, caller, StartRun(what=WhatToRun(blueprint="nightly")))
    assert started.execution
    before = len(two.plans.made)
    for what in (WhatToRun(blueprint="check"), WhatToRun(source=BACKUP), WhatToRun(command=["id"], limit_to="role=db")):
        with pytest.raises(Denied, match=r"lim may not do `run.start`"):
            await executions.start_run(two.services, caller, StartRun(what=what))
    with pytest.raises(Denied):
        await executions.start_run(two.services, caller, StartRun(plan_digest="sha256:" + "9" * 64))
    with pytest.raises(Denied):
        await control.cancel_run(two.services, caller, control.ControlRun(execution=OTHER))
    assert len(two.plans.made) == before
    assert two.runs.submitted == []
    denied = [entry for entry in await two.audit() if entry[1] == "denied"]
    assert {entry[0] for entry in denied} == {"run.start", "run.cancel"}


async def test_a_text_that_calls_itself_a_backup_is_none(two: Desk) -> None:
    """Neither sent along, nor as the blueprint of a plan that an unlimited caller made of such a text."""
    made = plan(digest="sha256:" + "7" * 64)
    await two.store.plans.put(
        PlanRecord(
            made.digest,
            {"blueprint": {"id": "nightly", "version": "1.0.0", "digest": "sha256:forged"}, "targets": ["db1"]},
            {},
            NOW,
        )
    )
    with pytest.raises(Denied):
        await executions.start_run(
            two.services, limited("operator", categories=["backup"]), StartRun(plan_digest=made.digest)
        )
    with pytest.raises(Denied):
        await executions.start_run(
            two.services, limited("operator", blueprints=["nightly"]), StartRun(plan_digest=made.digest)
        )


async def test_no_host_outside_is_planned_with_or_asked(two: Desk) -> None:
    """The desk's plans touch db1 and db2; db2 is in production."""
    caller = limited("operator", environments=["staging"])
    before = len(two.plans.made)
    with pytest.raises(Denied, match="on db2"):
        await plans.make_plan(two.services, caller, MakePlan(blueprint="nightly"))
    assert len(two.plans.made) == before
    both = limited("operator", environments=["staging", "production"])
    assert (await plans.make_plan(two.services, both, MakePlan(blueprint="nightly"))).digest == DIGEST


async def test_limits_to_hosts_show_only_these(two: Desk) -> None:
    caller = limited("auditor", environments=["staging"])
    page = await hosts.list_hosts(two.services, caller, hosts.ListHosts())
    assert [each.name for each in page.items] == ["db1"]
    assert await runs(two, caller) == {EXECUTION, OTHER}
    assert await runs(two, limited("auditor", hosts="name=db2")) == set()
    with pytest.raises(Denied):
        await hosts.show_host(two.services, caller, hosts.NamedHost(host="db2"))
    # Whether a host exists outside is not told either.
    with pytest.raises(Denied):
        await hosts.show_host(two.services, caller, hosts.NamedHost(host="nobody"))
    with pytest.raises(NotFound):
        await hosts.show_host(two.services, OWNER, hosts.NamedHost(host="nobody"))


async def test_a_name_that_passed_to_another_machine_is_not_the_host_that_was(two: Desk) -> None:
    await two.store.plans.put(
        PlanRecord(
            "sha256:" + "6" * 64,
            {"blueprint": {"id": "x", "version": "1.0.0", "digest": "d"}, "host_ids": {"db1": "hst_before"}},
            {},
            NOW,
        )
    )
    with pytest.raises(Denied):
        await plans.show_plan(
            two.services, limited("auditor", environments=["staging"]), ShowPlan(digest="sha256:" + "6" * 64)
        )


async def test_a_host_is_moved_neither_in_nor_out(two: Desk) -> None:
    caller = limited(environments=["staging"])
    for host, environment in (("db1", "production"), ("db2", "staging"), ("db1", "")):
        with pytest.raises(Denied):
            await hosts.set_host(two.services, caller, hosts.SetHost(host=host, environment=environment))
    with pytest.raises(Denied):
        await hosts.set_host(two.services, caller, hosts.SetHost(host="db1", labels={"environment": "x"}))
    answer = await hosts.set_host(two.services, caller, hosts.SetHost(host="db1", labels={"role": "web"}))
    assert answer.labels["role"] == "web"


async def test_a_host_is_let_in_only_where_it_will_lie_inside(two: Desk) -> None:
    caller = limited(environments=["staging"])
    with pytest.raises(Denied):
        await hosts.make_token(two.services, caller, hosts.MakeToken(name="new"))
    made = await hosts.make_token(two.services, caller, hosts.MakeToken(labels={"environment": "staging"}))
    assert made.token


async def test_an_author_takes_no_blueprint_of_another_category_over(two: Desk) -> None:
    caller = limited("author", categories=["backup"])
    newer = BACKUP.replace("1.0.0", "1.1.0")
    assert (await blueprints.add_blueprint(two.services, caller, blueprints.BlueprintFile(source=newer))).items[
        0
    ].version == "1.1.0"
    taking = SOURCE.replace("1.0.0", "1.1.0").replace("name: Check", "name: Check\n    category: backup")
    leaving = BACKUP.replace("1.0.0", "1.2.0").replace("category: backup", "category: upgrade")
    for source in (taking, leaving, SOURCE.replace("  check:", "  fresh:")):
        with pytest.raises(Denied):
            await blueprints.add_blueprint(two.services, caller, blueprints.BlueprintFile(source=source))
    assert await two.store.blueprints.versions("check") == ("1.0.0",)


async def test_no_name_outside_is_offered_as_what_might_be_meant(two: Desk) -> None:
    caller = limited("operator", blueprints=["chec", "nightly"])
    with pytest.raises(NotFound) as refusal:
        await blueprints.show_blueprint(two.services, caller, blueprints.ShowBlueprint(blueprint="chec"))
    assert "check" not in refusal.value.fix


async def test_notifications_go_with_their_executions(two: Desk) -> None:
    await two.add_dead_notification()
    request = notifications.ListNotifications()
    inside, outside = limited("auditor", categories=["backup"]), limited("auditor", categories=["upgrade"])
    assert len((await notifications.list_notifications(two.services, inside, request)).items) == 1
    assert (await notifications.list_notifications(two.services, outside, request)).items == []


async def test_a_list_goes_on_until_it_is_full_or_ends(two: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    caller = limited("auditor", categories=["backup"])
    first = await executions.list_runs(two.services, caller, ListRuns(limit=1))
    assert [each.id for each in first.items] == [EXECUTION]
    monkeypatch.setattr(seen, "MOST_READ", 1)
    bounded = await executions.list_runs(two.services, caller, ListRuns(limit=1))
    assert (bounded.items, bool(bounded.next)) == ([], True)
    rest = await executions.list_runs(two.services, caller, ListRuns(limit=1, cursor=bounded.next))
    assert [each.id for each in rest.items] == [EXECUTION]


@pytest.mark.parametrize("verb", verbs.ALL, ids=lambda verb: verb.operation)
async def test_an_owner_of_nothing_that_is_here_can_do_nothing_to_it(desk: Desk, verb: Any) -> None:
    """Every operation that there is: a grant of everything, within limits in which nothing lies, gives nothing."""
    await world(desk)
    await desk.add_dead_notification()
    caller = limited(categories=["nothing"], environments=["nowhere"])
    row = OPERATIONS[verb.operation]
    request = verb.request(**EXAMPLES.get(verb.operation, {}))
    if row.name == "approval.undelegate":
        # One's own say is one's own; that of somebody else is not, whatever is held within limits.
        with pytest.raises(Conflict, match="not yours"):
            await verb(desk.services, caller, request)
    elif row.about is About.SELF:
        await desk.store.access.add_principal(PrincipalRecord("lim", "person", NOW, "ann", keys=(ANN.line,)))
        if row.name == "approval.delegate":
            request = request.model_copy(update={"proof": lent_by("lim")})
        await verb(desk.services, OWNER if row.name == "whoami" else caller, request)
    elif row.about is About.MANY:
        answer = await verb(desk.services, caller, request)
        assert answer.items == []
    else:
        before = await desk.audit()
        with pytest.raises(Denied):
            await verb(desk.services, caller, request)
        assert (await desk.audit())[len(before) :] == [(row.name, "denied", request.subject())]
        assert desk.runs.submitted == []


def test_an_operation_that_says_nothing_is_about_the_whole() -> None:
    assert {name for name, row in OPERATIONS.items() if row.about is About.SELF} == {
        "blueprint.validate", "whoami", "role.list", "role.show", "coordinator.authority",
        "approval.delegate", "approval.delegations", "approval.undelegate",
        "schedule.explain",
    }  # fmt: skip
