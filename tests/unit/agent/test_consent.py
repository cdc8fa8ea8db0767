"""What a host does only when people have signed for it: every word of it."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pilotage_agent.approval.errors import Unapproved
from pilotage_agent.approval.plan_slice import find_step, read_slice
from pilotage_agent.approval.planned_values import check_parameters
from pilotage_agent.messages import Assignment, Effect, SignedApproval, SignedPlan
from pilotage_proto.attempt import AttemptKind
from pilotage_proto.canonical import canonical, digest, digest_of_bytes
from pilotage_proto.decision import Statement
from pilotage_proto.plan_digest import packed, plan_digest, unpacked

from tests.unit.agent.signing_site import ANNA, BORIS, GATE, HOSTS, HOUR, KNOWN, MALLORY, NOW, TEXT, Site, line, planned

MADE = planned()


def refusal(site: Site, plan: SignedPlan | None, assignment: Assignment) -> str:
    """Return why the host refuses; empty when it does not."""
    if plan is not None:
        site.consent.see(plan)
    try:
        asyncio.run(site.consent.check(assignment))
    except Unapproved as refused:
        return str(refused)
    return ""


def test_what_was_planned_and_signed_may_be_done() -> None:
    site = Site(MADE)
    for item in ("a", "b"):
        assert refusal(site, site.shown(), site.assignment(item=item)) == ""
    granted = asyncio.run(site.consent.check(site.assignment(host_variables=b'{"docker_host":"unix:///evil"}')))
    assert json.loads(granted.assignment.host_variables) == {"docker_host": HOSTS[0].vars["docker_host"]}
    assert granted.order is not None
    assert granted.order.approvals == (site.approval().id("exe_1"),)
    assert (granted.order.attempts, granted.order.asked_at) == (2, NOW - 9)


def test_the_digest_is_that_of_the_plan() -> None:
    shown = Site(MADE).shown()
    assert plan_digest(shown.head, unpacked(shown.slice_digests)) == MADE.plan.digest


def test_what_nobody_needs_to_agree_to_is_not_asked_for() -> None:
    site = Site(MADE)
    assert refusal(site, None, site.assignment("look", item="")) == ""
    assert "no signed plan" in refusal(Site(MADE, everything=True), None, site.assignment("look", item=""))
    assert refusal(Site(MADE, everything=True, unsigned=("discovery.*",)), None, site.assignment("look", item="")) == ""
    site.keys.clear()
    assert refusal(site, None, site.assignment()) == ""


def test_a_type_whose_effect_only_its_author_knows_needs_consent_too() -> None:
    site = Site(MADE)
    assert "no signed plan" in refusal(site, None, site.assignment("run", item=""))


REPLACED: dict[str, tuple[Callable[[Site], Assignment], str]] = {
    "another parameter": (
        lambda site: site.assignment(parameters=canonical({"path": "/", "keep": {"daily": 7, "list": [1, True, "x"]}})),
        "parameter path of wipe is",
    ),
    "a number for true": (
        lambda site: site.assignment(parameters=site.assignment().parameters.replace(b"true", b"1")),
        "parameter keep of wipe is",
    ),
    "a parameter more": (
        lambda site: site.assignment(parameters=site.assignment().parameters[:-1] + b',"force":true}'),
        "planned with other parameters",
    ),
    "a parameter less": (lambda site: site.assignment(parameters=b'{"path":"/srv/a/z-db1"}'), "other parameters"),
    "another item's parameters": (
        lambda site: site.assignment(item="b", parameters=site.assignment(item="a").parameters),
        "parameter path",
    ),
    "an item that was not planned": (lambda site: site.assignment(item="c"), "not planned for the item"),
    "another step": (
        lambda site: replace(site.assignment(), key=site.assignment().key._replace(path="other")),
        "no step other",
    ),
    "another step's words": (
        lambda site: site.assignment(planned_step=site.assignment("late", "").planned_step),
        "is not that step",
    ),
    "no words of the plan": (lambda site: site.assignment(planned_step=b""), "without what the plan says"),
    "another step type": (lambda site: site.assignment(step_type="command.run"), "step type of wipe is command.run"),
    "another effect": (lambda site: site.assignment(effect=Effect.READ), "effect of wipe is read"),
    "another timeout": (lambda site: site.assignment(timeout_ms=1), "timeout in ms of wipe is 1"),
    "outputs that are shown": (lambda site: site.assignment(sensitive_outputs=("x",)), "sensitive outputs"),
    "another plan's digest": (lambda site: site.assignment(plan_digest="sha256:0"), "says that it is of plan"),
    "another host's key": (
        lambda site: replace(site.assignment(), key=site.assignment().key._replace(host="db2")),
        "it is for db2",
    ),
    "parameters that are none": (lambda site: site.assignment(parameters=b"[]"), "no JSON object"),
    "parameters too deep": (lambda site: site.assignment(parameters=b'{"path":' * 100_000), "no JSON object"),
    "another execution": (
        lambda site: replace(site.assignment(), key=site.assignment().key._replace(execution="exe_2")),
        "no signed plan",
    ),
}


@pytest.mark.parametrize("change", REPLACED)
def test_an_assignment_that_is_not_the_plans_is_refused(change: str) -> None:
    change_it, why = REPLACED[change]
    site = Site(MADE)
    assert why in refusal(site, site.shown(), change_it(site))


def test_what_a_plan_must_not_show_can_only_be_a_reference_to_a_secret() -> None:
    site = Site(MADE, everything=True)
    assert refusal(site, site.shown(), site.assignment("note", "", parameters=NOTE)) == ""
    said = refusal(site, site.shown(), site.assignment("note", "", parameters=NOTE.replace(b"secret://", b"")))
    assert "parameter content of note" in said


def test_what_was_not_to_run_here_does_not() -> None:
    site = Site(MADE, everything=True)
    assert "was not to run here" in refusal(site, site.shown(), site.assignment("never", ""))


def test_an_item_of_a_step_without_items_is_refused() -> None:
    site = Site(MADE, everything=True)
    assert "planned without items" in refusal(site, site.shown(), site.assignment("note", "x", parameters=NOTE))


def test_another_plugin_than_was_planned_is_refused() -> None:
    site = Site(MADE)
    site.known = {"backup.prune": {**KNOWN["backup.prune"], "version": "1.0.1"}}
    assert "the plugin of wipe is pilotage 1.0.1, planned was pilotage 1.0.0" in refusal(
        site, site.shown(), site.assignment()
    )


def test_an_approval_is_good_for_its_own_execution_alone() -> None:
    first, second = Site(MADE), Site(MADE, execution="exe_2")
    assert "0 of the 1" in refusal(second, second.shown(first.approval(ANNA)), second.assignment())


def test_a_file_of_the_blueprint_is_the_one_that_was_approved() -> None:
    step = replace(
        find_step(read_slice(Site(MADE).shown()), "note", Site(MADE).assignment("note", "").planned_step),
        files={"content": digest("the text")},
        parameters={"path": "/note", "content": "name.txt"},
    )
    given: Any = {"name": "name.txt", "text": "the text"}
    check_parameters(step, "note", "", canonical({"path": "/note", "content": given}), lambda name: False)
    others = [{**given, "text": "another"}, {**given, "name": "other.txt"}, {**given, "more": 1}, "the text"]
    for other in others:
        with pytest.raises(Unapproved, match="not the one that was approved"):
            check_parameters(step, "note", "", canonical({"path": "/note", "content": other}), lambda name: False)


NOTE = b'{"path":"/note","content":"secret://execution/exe_1/word"}'


def test_the_undo_of_what_the_plan_does_not_let_be_undone_is_refused() -> None:
    site = Site(planned(TEXT.replace("timeout: 90s", "timeout: 90s\n    irreversible: true")))
    assert "be undone" in refusal(site, site.shown(), site.assignment(kind=AttemptKind.UNDO))


def test_a_plan_for_another_host_is_refused() -> None:
    site, other = Site(MADE, on="db1"), Site(MADE, on="db2")
    assert "is about hst_db2, this host is hst_db1" in refusal(site, other.shown(), other.assignment())


def test_what_only_run_time_knows_is_refused_unless_the_host_lets_it() -> None:
    site = Site(MADE)
    late = site.assignment("late", item="", parameters=b'{"path":"/anything"}')
    said = refusal(site, site.shown(), late)
    assert "nobody could know the parameter path of late" in said
    assert "run_time_values" in said
    free = Site(MADE, run_time_values=("backup.prune:path",))
    assert refusal(free, free.shown(), late) == ""


def test_items_that_only_run_time_knows_are_refused_unless_the_host_lets_it() -> None:
    made = planned(TEXT.replace("for_each: \"${{ ['a', 'b'] }}\"", 'for_each: "${{ steps.look.outputs.list }}"'))
    assert "items of wipe were not known" in refusal(
        Site(made), Site(made).shown(), Site(made).assignment(parameters=MADE_PARAMETERS)
    )


MADE_PARAMETERS = Site(MADE).assignment().parameters


SIGNED: dict[str, tuple[Callable[[Site], SignedApproval], str]] = {
    "nobody": (lambda site: site.approval(), "0 of the 1"),
    "somebody else": (lambda site: site.approval(MALLORY), "0 of the 1"),
    "a request of another gate": (lambda site: site.approval(ANNA, gate="late!approval"), "nobody has approved"),
    "somebody else's signature as Anna's": (
        lambda site: replace(
            site.approval(), signatures={line(ANNA): site.approval(MALLORY).signatures[line(MALLORY)]}
        ),
        "0 of the 1",
    ),
    "a signature that is no signature": (lambda site: replace(site.approval(), signatures={line(ANNA): "x"}), "0 of"),
    "a no": (
        lambda site: replace(
            site.approval(),
            signatures={
                line(ANNA): ANNA.proof(Statement(site.approval().id("exe_1"), "reject", site.plan.digest)),
            },
        ),
        "0 of the 1",
    ),
    "another plan": (
        lambda site: replace(
            site.approval(),
            signatures={line(ANNA): ANNA.proof(Statement(site.approval().id("exe_1"), "approve", "sha256:1"))},
        ),
        "0 of the 1",
    ),
    "the request of another execution": (
        lambda site: replace(Site(MADE, execution="exe_2").approval(ANNA)),
        "0 of the 1",
    ),
    "the same gate, asked again": (lambda site: replace(site.approval(ANNA), number=2), "0 of the 1"),
    "another time of asking": (lambda site: replace(site.approval(ANNA), asked_at=NOW), "0 of the 1"),
    "long ago": (lambda site: site.approval(ANNA, at=NOW - 169 * HOUR), "more than 168 hours ago"),
    "the future": (lambda site: site.approval(ANNA, at=NOW + 25 * HOUR), "in the future"),
}


@pytest.mark.parametrize("signed", SIGNED)
def test_what_the_hosts_approvers_have_not_signed_is_refused(signed: str) -> None:
    make, why = SIGNED[signed]
    site = Site(MADE)
    assert why in refusal(site, site.shown(make(site)), site.assignment())


def test_an_approval_from_before_what_was_forgotten_counts_no_more_whatever_the_clock_says() -> None:
    site = Site(MADE)
    site.floor = NOW - 9
    site.now = NOW - 9
    assert "ask again" in refusal(site, site.shown(), site.assignment())


def test_a_quorum_is_of_different_keys_that_are_pinned_now() -> None:
    site = Site(MADE, quorum=2)
    assert "1 of the 2" in refusal(site, site.shown(site.approval(ANNA, MALLORY)), site.assignment())
    assert refusal(site, site.shown(site.approval(ANNA, BORIS)), site.assignment()) == ""
    site.keys.discard(line(BORIS))
    assert "1 of the 2" in refusal(site, None, site.assignment())


def test_each_gate_before_a_step_must_be_open() -> None:
    made = planned(TEXT.replace("targets:", "approvals: [{step: wipe, required: 1}]\ntargets:", 1))
    site = Site(made)
    guards = site.parts.steps["wipe"]["guards"]
    assert guards == [GATE, f"{GATE}#2"]
    one, two = site.approval(ANNA), site.approval(BORIS, gate=f"{GATE}#2", number=2)
    assert "nobody has approved" in refusal(site, site.shown(one), site.assignment())
    assert refusal(site, site.shown(one, two), site.assignment()) == ""


def test_the_newest_approval_of_a_gate_is_the_one_that_is_used() -> None:
    site = Site(MADE)
    site.consent.see(site.shown(site.approval(ANNA), site.approval(ANNA, number=2)))
    granted = asyncio.run(site.consent.check(site.assignment()))
    assert granted.order is not None
    assert granted.order.approvals == (site.approval(number=2).id("exe_1"),)


@settings(max_examples=150)
@given(st.data())
def test_any_changed_byte_of_what_is_shown_is_refused(data: st.DataObject) -> None:
    site = Site(MADE)
    shown, assignment = site.shown(), site.assignment()
    what = data.draw(
        st.sampled_from(["slice", "slice_digests", "head", "planned_step", "signature", "gate", "parameters"])
    )
    holder: Any = assignment if what in ("planned_step", "parameters") else shown
    (approval,) = shown.approvals
    (key,) = approval.signatures
    texts = {"head": shown.head, "signature": approval.signatures[key], "gate": approval.gate}
    before: bytes = texts[what].encode() if what in texts else getattr(holder, what)
    at = data.draw(st.integers(0, len(before) - 1))
    bit = data.draw(st.integers(0, 6))
    after = before[:at] + bytes([before[at] ^ (1 << bit)]) + before[at + 1 :]
    if what == "signature":
        after_text = after.decode("ascii", "replace")
        if "".join(after_text.split()) == "".join(before.decode().split()):
            return
        shown = replace(shown, approvals=(replace(approval, signatures={key: after_text}),))
    elif what == "gate":
        shown = replace(shown, approvals=(replace(approval, gate=after.decode("ascii", "replace")),))
    elif what == "head":
        shown = replace(shown, head=after.decode("ascii", "replace"))
    elif holder is assignment:
        change: dict[str, Any] = {what: after}
        assignment = replace(assignment, **change)
    else:
        changed: dict[str, Any] = {what: after}
        shown = replace(shown, **changed)
    assert refusal(site, shown, assignment)


def test_a_slice_of_a_coordinators_own_making_is_refused_whatever_the_list_says() -> None:
    site = Site(MADE)
    said = json.loads(site.slices["db1"])
    forged_step = {**site.parts.steps["wipe"], "parameters": {"path": "/"}, "common": {}}
    said["steps"]["wipe"] = {"step": digest_of_bytes(canonical(forged_step))}
    forged = canonical(said)
    listed = [digest_of_bytes(each) for name, each in site.slices.items() if name != "db1"]
    shown = replace(site.shown(), slice=forged, slice_digests=packed([*listed, digest_of_bytes(forged)]))
    forged_digest = plan_digest(shown.head, unpacked(shown.slice_digests))
    assignment = site.assignment(
        item="", parameters=b'{"path":"/"}', planned_step=canonical(forged_step), plan_digest=forged_digest
    )
    assert refusal(site, shown, assignment)


def test_what_a_newer_coordinator_says_is_refused_rather_than_passed_over() -> None:
    site = Site(MADE)
    said = {**json.loads(site.slices["db1"]), "become": "root"}
    shown = replace(site.shown(), slice=canonical(said), slice_digests=packed([digest_of_bytes(canonical(said))]))
    assert "other fields than this agent knows (become)" in refusal(site, shown, site.assignment())
