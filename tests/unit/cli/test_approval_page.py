"""A request for approval as somebody reads it who is no engineer."""

from datetime import datetime
from typing import Any

import pytest
from pilotage_coordinator.cli.moments import local
from pilotage_coordinator.cli.render.approval import approval_lines
from pilotage_coordinator.cli.render.in_words import MOST_CHANGES

ASKED = "2026-03-01T08:00:00.000000Z"
UNTIL = "2026-03-01T12:00:00.000000Z"
NOW = datetime.fromisoformat("2026-03-01T09:00:00+00:00")
PLAIN = {"description": "", "comment": False, "timeout": 14_400_000_000, "on_timeout": "deny", "escalate": []}
CHANGE = {
    "change_class": "",
    "reference": "",
    "reason": "",
    "outcome": "",
    "note": "",
    "closed_at": "",
    "closed_by": "",
}


def step(path: str, *waves: list[str], **more: Any) -> dict[str, Any]:
    lists = ("approvals", "dependencies", "hosts", "run_time", "previews")
    inside = ("refresh_steps", "steps", "finally_steps", "analysis_steps")
    flags = ("destructive", "irreversible", "run_once", "loops")
    return {
        **{key: [] for key in (*lists, *inside)},
        **dict.fromkeys(flags, False),
        "path": path,
        "name": path.rpartition("/")[2],
        "kind": "leaf",
        "type": "command.run",
        "effect": "once",
        "place": "host",
        "when": "",
        "hosts_from": "",
        "waves": [
            {"number": n, "hosts": hosts, "wait": 0, "gate": "", "approval": None} for n, hosts in enumerate(waves, 1)
        ],
        "max_parallel": 0,
        "max_failures": None,
        "max_items": 0,
        "rollout_on_failure": "stop",
        "order_by": "",
        "health": None,
        "parameters": {},
        "undo": "auto",
        "on_failure": "stop",
        **more,
    }


def preview(host: str, *changes: tuple[str, str], complete: bool = True) -> dict[str, Any]:
    made = [{"action": action, "subject": what, "before": None, "after": None, "note": ""} for action, what in changes]
    return {"host": host, "item": "", "changes": made, "complete": complete, "note": ""}


def request(*steps: dict[str, Any], on_failure: str = "stop", reads: bool = False, **more: Any) -> Any:
    plan = {
        "blueprint": "shop",
        "version": "1.0.0",
        "name": "",
        "targets": ["a", "b"],
        "digest": "sha256:0",
        "step_runs": 1,
        "most_step_runs": 1,
        "parameters": {},
        "steps": list(steps),
        "on_failure": on_failure,
        "changes_anything": not reads,
        **{
            key: []
            for key in ("secrets", "finally_steps", "rollback_steps", "policy", "compliance", "notes", "approvals")
        },
    }
    return {
        "id": "apr_1",
        "state": "open",
        "execution": "exe_1",
        "plan_digest": "sha256:0",
        "scope": "execution",
        "step": "",
        "prompt": "before anything starts",
        "asked": {"required": 1, "of": [], "source": "the blueprint", **PLAIN},
        "asks": [],
        "requested_by": ["anna"],
        "askers": [{"name": "anna", "kind": "person", "acts_for": ""}],
        "change": CHANGE,
        "asked_at": ASKED,
        "expires_at": UNTIL,
        "reason": "",
        "decisions": [],
        "blueprint": "shop",
        "version": "1.0.0",
        "name": "Upgrade the shop",
        "irreversible": [],
        "destructive": [],
        "hosts": ["a", "b"],
        "policy": [],
        "plan": plan,
        "why_not": "",
        **more,
    }


def page(*steps: dict[str, Any], **more: Any) -> list[str]:
    return [line.text for line in approval_lines(request(*steps, **more), NOW)]


def plain(*steps: dict[str, Any], **more: Any) -> str:
    """What stands before the part for engineers."""
    lines = page(*steps, **more)
    return "\n".join(lines[: lines.index("The same for engineers, in full")])


def test_what_will_happen_is_told_step_by_step_in_words() -> None:
    install = step(
        "put_in_place", ["a"], ["b"], previews=[preview("a", ("create", "/x")), preview("b", ("update", "/x"))]
    )
    purge = step("purge", ["a"], previews=[preview("a", ("delete", "/old"))], irreversible=True, destructive=True)
    look = step("look", ["a"], effect="read", previews=[preview("a")])
    same = step("same", ["a"], previews=[preview("a", ("none", "/x"))], undo="none")
    told = plain(install, purge, look, same, step("later", ["b"]), irreversible=["purge"], destructive=["purge"])
    assert "1. Put in place, first on a, then on b" in told
    assert "makes /x, on a\n     changes /x, on b" in told
    assert "2. Purge, on a  CANNOT BE UNDONE\n     it can destroy data\n     REMOVES /old" in told
    assert "3. Look, on a\n     only looks, changes nothing" in told
    assert "4. Same, on a\n     is as it should be already: nothing to change" in told
    assert "5. Later, on b\n     what it changes is known only when it runs" in told
    assert "CANNOT BE UNDONE: Purge" in told
    assert "Stays as it is when the rest is undone: Same" in told
    assert "If a step fails, it stops there; what was done until then stays." in told


def test_steps_inside_others_and_many_changes() -> None:
    many = preview("a", *(("create", f"/{number}") for number in range(MOST_CHANGES + 3)), complete=False)
    group = step(
        "roll", ["a", "b"], kind="group", type="", effect="", steps=[step("roll/one", previews=[many], when="big")]
    )
    told = plain(group, step("tell", type="notify.send"), on_failure="rollback")
    assert "1. Roll, on a, b\n     1.1. One\n" in told
    assert "only where this holds: big" in told
    assert "and 3 more changes, told below\n" in told
    assert "what else it changes is known only when it runs" in told
    assert "2. Tell\n     sends a message" in told
    assert "what was done is undone, but for what cannot be undone" in told
    assert "Nothing of this changes anything: it only looks." in plain(step("a", ["a"], effect="read"), reads=True)
    assert "Nothing of it is marked as impossible to undo." in plain(step("a", ["a"]))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({}, "Nothing of it happens before enough people agree: anybody who may decide."),
        ({"scope": "step", "step": "one"}, "The step “One” does not begin before enough people agree"),
        ({"scope": "batch", "step": "one"}, "“One” goes on to no further host before enough people agree"),
        ({"scope": "run", "step": "one"}, "It does not go on past “One” before enough people agree"),
        ({"scope": "step", "step": "gone"}, "The step “gone” does not begin"),
        ({"asks": ["role:dba"]}, "agree: somebody with the role dba."),
        ({"asks": ["role:dba", "bert"]}, "agree: somebody with the role dba or bert."),
        ({}, f"Until {local(UNTIL)} (3h00m from now); then it is a no: what waits does not happen."),
        ({"expires_at": ASKED}, "(that is over)"),
        ({"hosts": []}, "no host: the coordinator alone"),
        ({"askers": []}, "who asks      anna"),
        ({"askers": [{"name": "ci", "kind": "service", "acts_for": ""}]}, "who asks      ci, a program"),
        (
            {"askers": [{"name": "claude", "kind": "assistant", "acts_for": "bert"}]},
            "who asks      claude, an assistant program that acts for bert",
        ),
        ({"change": {**CHANGE, "reason": "It is time.", "reference": "CHG-1"}}, "what for      It is time."),
        ({"change": {**CHANGE, "change_class": "normal", "reference": "CHG-1"}}, "what for      normal change CHG-1"),
        ({"policy": ["two-eyes: one"]}, "The rule two-eyes of the policy asks too; it is about: One"),
    ],
)
def test_who_asks_why_and_until_when(more: dict[str, Any], said: str) -> None:
    assert said in plain(step("one", ["a"]), **more)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"source": ""}, "It is written so in what runs"),
        (
            {"source": "the step", "description": "Is it a good moment?"},
            "The step asks for it, whoever starts it: Is it",
        ),
        ({"source": "rule x of the policy"}, "The rule x of the policy asks for it"),
        ({"required": 2}, "agree: 2 of those who may decide."),
        ({"comment": True}, "An answer must say why."),
        ({"on_timeout": "revert"}, "then it is a no, and what was done already is undone."),
        ({"on_timeout": "stop"}, "then it is a no, and everything ends there."),
    ],
)
def test_what_is_asked(asked: dict[str, Any], said: str) -> None:
    given = {"required": 1, "of": [], "source": "the blueprint", **PLAIN, **asked}
    assert said in plain(step("one", ["a"]), asked=given)


def test_a_quorum_and_who_is_asked_later() -> None:
    given = {"required": 2, "of": ["role:dba"], "source": "the step", **PLAIN, "escalate": ["role:cto"]}
    told = plain(step("one"), asked=given, asks=["role:dba"])
    assert "2 people with the role dba" in told
    assert "Asked too if nobody answers for a while: somebody with the role cto" in told
    assert "Asked too" not in plain(step("one"), asked=given, asks=["role:dba", "role:cto"])
    assert "2 of: somebody with the role dba, bert" in plain(step("one"), asked=given, asks=["role:dba", "bert"])


def test_who_has_answered() -> None:
    first: dict[str, Any] = {
        "person": "bert",
        "answer": "approve",
        "at": ASKED,
        "on_behalf_of": "carl",
        "comment": "fine",
    }
    first |= {"self_approved": False, "counts": False}
    own = {**first, "person": "anna", "on_behalf_of": "", "self_approved": True, "counts": True, "comment": ""}
    told = plain(step("one"), decisions=[first, own], state="approved", reason="approved by anna")
    assert f"bert for carl approved it at {local(ASKED)}: fine; it counts no more" in told
    assert "anna, who had asked for it and is the only person there, approved it at" in told
    assert "It is approved: approved by anna" in told
    assert "Until" not in told


def test_how_to_answer_stands_last_where_it_is_seen() -> None:
    asked = {"required": 1, "of": [], "source": "the step", **PLAIN, "comment": True}
    lines = page(step("one"), asked=asked)
    assert lines[-2] == "Approve it: pilotage approval approve apr_1 --comment TEXT"
    assert lines[-1].startswith("Reject it:  pilotage approval reject apr_1 --comment TEXT")
    assert page(step("one"), why_not="anna asked for this")[-1] == "You cannot answer this: anna asked for this"
    assert not any("pilotage approval approve" in each for each in page(step("one"), state="denied"))
