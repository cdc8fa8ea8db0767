"""What an approval is used for: once, and again only as the plan says, whatever a coordinator sends and who crashes."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest
from pilotage_agent.approval.use import MOST_INTERRUPTIONS
from pilotage_agent.errors import JournalUnwritable
from pilotage_agent.journal_store import Transaction
from pilotage_agent.messages import Assignment, FailureKind, Outcome
from pilotage_proto.attempt import AttemptKey, AttemptKind

from tests.unit.agent.signing_site import ANNA, HOUR, NOW, Site, planned
from tests.unit.agent.world import Host, World

MADE = planned()


async def open_host(world: World, site: Site) -> Host:
    host = await Host(world, consent=site.consent).recover()
    site.consent.see(site.shown())
    return host


async def until(host: Host, reached: Callable[[], bool]) -> None:
    """Let things happen until something has; signatures are checked in a thread."""
    async with asyncio.timeout(20):
        while not reached():
            await host.settle()
            await asyncio.sleep(0.001)


async def begun(host: Host, assignment: Assignment) -> None:
    """Have an attempt begin."""
    host.attempts.assign(assignment)
    key = assignment.key
    await until(host, lambda: key in host.world.processes or key in host.results)
    assert key in host.world.processes, host.results[key]


async def done(host: Host, assignment: Assignment, outcome: Outcome = Outcome.SUCCEEDED) -> None:
    """Have an attempt made, and its result acknowledged."""
    await begun(host, assignment)
    host.world.finish(assignment.key, outcome)
    await host.settle()
    assert host.last(assignment.key).outcome is outcome
    host.journal.forget(assignment.key)


async def refused(host: Host, assignment: Assignment) -> str:
    """Send an attempt that must not begin, and return why."""
    host.attempts.assign(assignment)
    await until(host, lambda: assignment.key in host.results)
    result = host.last(assignment.key)
    assert (result.outcome, result.failure_kind, result.started_at) == (Outcome.DECLINED, FailureKind.APPROVAL, 0)
    assert assignment.key not in host.world.starts
    return result.error


async def test_what_was_done_is_not_done_again_also_not_after_a_crash() -> None:
    world, site = World(), Site(MADE)
    host = await open_host(world, site)
    await done(host, site.assignment())
    assert "was done here already" in await refused(host, site.assignment(attempt=2))
    host = await host.crash()
    assert "was done here already" in await refused(host, site.assignment(attempt=3))
    await done(host, site.assignment(item="b"))


async def test_what_may_be_repeated_begins_only_when_it_is_counted_too() -> None:
    world, site = World(), Site(MADE, everything=True)
    host = await open_host(world, site)
    note = site.assignment("note", "", parameters=NOTE)
    await begun(host, note)
    assert [use.ended for use in world.store.content.uses] == [{1: ""}]


NOTE = b'{"path":"/note","content":"secret://execution/exe_1/word"}'


async def test_it_is_counted_in_the_transaction_of_its_start() -> None:
    world, site = World(), Site(MADE)
    seen: list[Transaction] = []
    world.store.before_commit = seen.append
    host = await open_host(world, site)
    await begun(host, site.assignment())
    started = [each for each in seen if any(entry.started_at for entry in each.entries)]
    assert [use.ended for use in started[0].uses] == [{1: ""}]
    host = await host.crash()
    world.finish(site.assignment().key)
    await host.settle()
    assert "was done here already" in await refused(host, site.assignment(attempt=2))


async def test_what_failed_is_tried_again_as_often_as_the_plan_says() -> None:
    world, site = World(), Site(MADE)
    host = await open_host(world, site)
    await done(host, site.assignment(attempt=1), Outcome.FAILED)
    host = await host.crash()
    await done(host, site.assignment(attempt=2), Outcome.FAILED)
    assert "as often as the plan lets it" in await refused(host, site.assignment(attempt=3))
    # People have agreed once more, to the same plan in the same execution.
    again = site.approval(ANNA, number=2)
    site.consent.see(site.shown(site.approval(ANNA), again))
    await done(host, site.assignment(attempt=4))


async def test_what_was_cut_off_is_tried_again_within_a_bound() -> None:
    world, site = World(), Site(MADE)
    host = await open_host(world, site)
    for attempt in range(1, MOST_INTERRUPTIONS + 1):
        assignment = site.assignment(attempt=attempt)
        await begun(host, assignment)
        world.crash(assignment.key)
        await host.settle()
        assert host.last(assignment.key).outcome is Outcome.INTERRUPTED
        host.journal.forget(assignment.key)
        world.processes.pop(assignment.key)
    assert "as often as the plan lets it" in await refused(host, site.assignment(attempt=99))


async def test_what_never_began_was_no_use() -> None:
    world, site = World(), Site(MADE)
    host = await open_host(world, site)

    def full(transaction: Transaction) -> None:
        raise JournalUnwritable("the disk is full")

    for attempt in range(1, 6):
        world.store.before_commit = full
        key = site.assignment(attempt=attempt).key
        host.attempts.assign(site.assignment(attempt=attempt))
        await until(host, lambda key=key: key in host.results)  # type: ignore[misc]
        assert host.last(key).outcome is Outcome.DECLINED
    world.store.before_commit = lambda transaction: None
    await done(host, site.assignment(attempt=9))


async def test_only_what_was_done_here_is_undone_and_with_what_it_gave() -> None:
    world, site = World(), Site(MADE)
    host = await open_host(world, site)
    undo = site.assignment(kind=AttemptKind.UNDO)
    assert "nothing to undo" in await refused(host, undo)
    await done(host, site.assignment())
    forged = replace(undo, key=undo.key._replace(attempt=2), outputs=b'{"kept":"/etc/shadow"}')
    assert "not what it gave here" in await refused(host, forged)
    third = replace(undo, key=undo.key._replace(attempt=3))
    await done(host, third)
    assert "was done here already" in await refused(host, replace(undo, key=undo.key._replace(attempt=4)))


@pytest.mark.parametrize("ended", [Outcome.FAILED, Outcome.CANCELLED, Outcome.INTERRUPTED])
@pytest.mark.parametrize("crashed", [False, True])
async def test_what_did_not_succeed_is_undone_with_what_it_gave_or_with_nothing(ended: Outcome, crashed: bool) -> None:
    world, site = World(), Site(MADE)
    host = await open_host(world, site)
    run = site.assignment()
    await begun(host, run)
    if ended is Outcome.INTERRUPTED:
        world.crash(run.key)
    else:
        world.finish(run.key, ended, {"kept": "/srv/a"})
    await host.settle()
    assert host.last(run.key).outcome is ended
    host.journal.forget(run.key)
    if crashed:
        await host.journal.flush()
        host = await host.crash()
    undo = site.assignment(kind=AttemptKind.UNDO)
    for number, forged in enumerate((b'{"kept":"/etc/shadow"}', b'{"kept":null}', b"[]"), 1):
        why = await refused(host, replace(undo, key=undo.key._replace(attempt=number), outputs=forged))
        assert "not what it gave here" in why
    own = b"{}" if ended is Outcome.INTERRUPTED else b'{"kept":"/srv/a"}'
    await done(host, replace(undo, key=undo.key._replace(attempt=4), outputs=own), Outcome.FAILED)
    await done(host, replace(undo, key=undo.key._replace(attempt=5)))


async def test_what_has_not_ended_is_not_undone() -> None:
    world, site = World(), Site(MADE)
    host = await open_host(world, site)
    undo = site.assignment(kind=AttemptKind.UNDO)
    await done(host, site.assignment(), Outcome.FAILED)
    await begun(host, site.assignment(attempt=2))
    for number, outputs in enumerate((b"{}", b'{"kept":"/etc/shadow"}'), 1):
        why = await refused(host, replace(undo, key=undo.key._replace(attempt=number), outputs=outputs))
        assert "not at its end here" in why
    world.finish(site.assignment(attempt=2).key)
    await host.settle()
    await done(host, replace(undo, key=undo.key._replace(attempt=3)))


async def test_what_runs_by_another_approval_is_not_undone_either() -> None:
    world, site = World(), Site(MADE)
    host = await open_host(world, site)
    await done(host, site.assignment())
    again = site.approval(ANNA, number=2)
    site.consent.see(site.shown(again))
    await begun(host, site.assignment(attempt=2))
    site.consent.see(site.shown())
    assert "not at its end here" in await refused(host, site.assignment(kind=AttemptKind.UNDO))


async def test_what_only_reads_has_nothing_to_undo() -> None:
    world, site = World(), Site(MADE, everything=True)
    host = await open_host(world, site)
    await done(host, site.assignment("look", ""))
    undo = site.assignment("look", "", kind=AttemptKind.UNDO, outputs=b'{"path":"/etc/shadow"}')
    assert "nothing to undo" in await refused(host, undo)


async def test_an_undo_with_other_parameters_than_the_run_had_is_refused() -> None:
    site = Site(MADE, run_time_values=("backup.prune:path",))
    world = World()
    host = await open_host(world, site)
    late = site.assignment("late", "", parameters=b'{"path":"/one"}')
    await done(host, late)
    key = AttemptKey("exe_1", "late", "db1", "", AttemptKind.UNDO, 1)
    assert "other parameters than it would be undone with" in await refused(
        host, replace(late, key=key, parameters=b'{"path":"/other"}')
    )
    await done(host, replace(late, key=key._replace(attempt=2)))


async def test_what_is_forgotten_cannot_be_used_again_even_if_the_clock_goes_back() -> None:
    world, site = World(), Site(MADE)
    host = await open_host(world, site)
    floor = host.journal
    site.consent._floor = lambda: floor.approvals_floor
    await done(host, site.assignment())
    site.now = NOW + 169 * HOUR
    site.consent.see(site.shown(site.approval(ANNA, at=site.now - 5, number=2)))
    await done(host, site.assignment(item="b", attempt=7))
    assert {use.name.item for use in host.world.store.content.uses} == {"b"}
    site.now = NOW
    site.consent.see(site.shown())
    assert "ask again" in await refused(host, site.assignment(attempt=2))


@pytest.mark.parametrize("acknowledged", [True, False])
async def test_the_same_attempt_sent_twice_is_one(acknowledged: bool) -> None:
    world, site = World(), Site(MADE)
    host = await open_host(world, site)
    for _ in range(3):
        await begun(host, site.assignment())
    world.finish(site.assignment().key)
    await host.settle()
    if acknowledged:
        host.journal.forget(site.assignment().key)
    host.attempts.assign(site.assignment())
    await host.settle()
    assert world.starts[site.assignment().key] == 1
