"""People who agree: a coordinator, a host, the command line, and keys that OpenSSH has made and signs with."""

from collections.abc import Iterator

import pytest
from pilotage_client import RequestRefused
from pilotage_proto.decision import Statement

from tests.e2e.house import House, signed

BLUEPRINTS = """\
pilotage: 1
workflows:
  careful:
    version: "1.0.0"
    name: Careful work
    approvals: [{step: act, required: 2, of: ["role:approver"], description: "may it act?"}]
    steps:
      - {id: look, type: validation.assert, parameters: {that: "true"}}
      - {id: act, type: validation.assert, parameters: {that: "true"}, dependencies: [look], irreversible: true}
  asks:
    version: "1.0.0"
    steps:
      - {id: sure, type: approval.ask, parameters: {message: "sure?", comment: true}}
  labelled:
    version: "1.0.0"
    targets: {hosts: [one]}
    steps:
      - {id: act, type: command.run, requires_approval: true, parameters: {argv: [echo, "${{ host.labels.tier }}"]}}
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    made = House(tmp_path_factory.mktemp("house"), "one")
    try:
        made.open({"tier": "gold"})
        (made.folder / "books.yaml").write_text(BLUEPRINTS)
        made.fleet.run("blueprint", "add", str(made.folder / "books.yaml"))
        yield made
    finally:
        made.fleet.stop()


def test_the_only_person_there_is_approves_what_they_asked_for_and_it_shows(house: House) -> None:
    execution, request = house.start("careful")
    text = house.fleet.run("approval", "show", request).stdout
    assert "may it act?" in text
    assert "CANNOT BE UNDONE: Act" in text
    assert f"pilotage approval approve {request}" in text
    house.fleet.run("approval", "approve", request, "--yes")
    assert house.state(execution) == "completed"
    (decision,) = house.shown(request)["decisions"]
    assert decision["self_approved"]
    audited = house.fleet.json("audit", "search", "--operation", "approval.approve")
    assert audited[0]["outcome"] == "allowed"
    assert audited[0]["detail"]["self_approved"]


def test_two_others_must_agree_once_there_are_others(house: House) -> None:
    house.add("bert", "--role", "approver")
    house.add("carl", "--role", "approver")
    house.add("claude", "--kind", "assistant", "--role", "assistant", "--sponsor", "bert", key=False)
    execution, request = house.start("careful")
    own = house.as_(house.owner, "approval", "approve", request, "--yes")
    assert (own.returncode, "is not asked" in own.stderr) == (1, True)
    first = house.as_("bert", "approval", "approve", request, "--yes", "--key", str(house.keys["bert"]))
    assert "1 of 2 have agreed" in first.stdout
    again = house.as_("bert", "approval", "approve", request, "--yes", "--key", str(house.keys["bert"]))
    assert "has answered" in again.stderr
    watched = house.fleet.run("run", "show", execution).stdout
    assert "2 of role:approver must approve, bert agreed" in watched
    house.as_("carl", "approval", "approve", request, "--yes", "--key", str(house.keys["carl"]))
    assert house.state(execution) == "completed"
    assert [each["person"] for each in house.shown(request)["decisions"]] == ["bert", "carl"]


def test_what_proves_nothing_decides_nothing(house: House) -> None:
    """A signature for something else, of somebody else, an old one; tokens without one; assistants with anything."""
    execution, request = house.start("careful")
    other_execution, other = house.start("careful")
    digest = house.shown(request)["plan_digest"]
    bert, carl = house.keys["bert"], house.keys["carl"]
    yes = Statement(request, "approve", digest)
    old = signed(bert, yes)
    attempts: list[tuple[str, str, str]] = [
        ("bert", "", "needs a proof"),
        ("bert", signed(bert, Statement(other, "approve", digest)), "signed something else"),
        ("bert", signed(bert, Statement(request, "reject", digest)), "signed something else"),
        ("bert", signed(bert, Statement(request, "approve", "sha256:" + "0" * 64)), "signed something else"),
        ("bert", signed(bert, yes, "git"), "not for `decision@pilotage`"),
        ("bert", signed(carl, yes), "not registered for bert"),
        ("bert", "no signature at all", "a signature stands between"),
        ("claude", old, "may not do `approval.approve`"),
    ]
    for who, proof, why in attempts:
        with pytest.raises(RequestRefused, match=why) as refused:
            house.ask(who, lambda client, proof=proof: client.approve(request, proof))  # type: ignore[misc]
        assert refused.value.status == 403
    house.ask("bert", lambda client: client.approve(request, old))
    with pytest.raises(RequestRefused, match="has answered"):
        house.ask("bert", lambda client: client.approve(request, old))
    with pytest.raises(RequestRefused, match="signed something else"):
        house.ask("bert", lambda client: client.approve(other, old))
    assert house.state(execution) == "waiting_approval"
    # Whoever is disabled, or whose key is taken away, has decided nothing before enough have agreed.
    house.fleet.run("principal", "disable", "bert", "--yes")
    house.ask("carl", lambda client: client.approve(request, signed(carl, yes)))
    assert house.state(execution) == "waiting_approval"
    with pytest.raises(RequestRefused):
        house.ask("bert", lambda client: client.reject(request, signed(bert, Statement(request, "reject", digest))))
    house.fleet.run("principal", "enable", "bert")
    house.ask("bert", lambda client: client.reject(request, signed(bert, Statement(request, "reject", digest))))
    assert house.state(execution) == "failed"
    with pytest.raises(RequestRefused, match="denied already"):
        house.ask("carl", lambda client: client.approve(request, signed(carl, yes)))
    house.fleet.run("run", "cancel", other_execution, "--yes")
    house.fleet.until("it is cancelled", lambda: house.shown(other)["state"] == "cancelled")
    refused_entries = house.fleet.json("audit", "search", "--operation", "approval.approve", "--outcome", "denied")
    assert any(each["principal"] == "claude" for each in refused_entries)


def test_a_comment_is_asked_for_and_a_say_can_be_lent(house: House) -> None:
    house.add("dora", "--role", "approver")
    execution, request = house.start("asks")
    bare = house.as_("carl", "approval", "approve", request, "--yes", "--key", str(house.keys["carl"]))
    assert (bare.returncode, "asks for a comment" in bare.stderr) == (2, True)
    lent = house.as_(
        "bert", "--json", "approval", "delegate", "dora", "--until", "1d", "--key", str(house.keys["bert"])
    )
    assert lent.returncode == 0, lent.stderr
    assert "bert" in house.fleet.run("approval", "delegations").stdout
    done = house.as_(
        "carl", "approval", "approve", request, "--yes", "--comment", "sure", "--key", str(house.keys["carl"])
    )
    assert done.returncode == 0, done.stderr
    assert house.state(execution) == "completed"
    careful, second = house.start("careful")
    for who in ("dora", "carl"):
        house.as_(who, "approval", "approve", second, "--yes", "--key", str(house.keys[who]))
    assert house.state(careful) == "completed"


def test_nobody_accepts_for_those_who_approved_what_has_drifted_since(house: House) -> None:
    execution, request = house.start("labelled")
    house.fleet.run("host", "set", "one", "--label", "tier=silver")
    done = house.as_("bert", "approval", "approve", request, "--yes", "--key", str(house.keys["bert"]))
    assert done.returncode == 0, done.stderr
    house.fleet.until("it is paused", lambda: house.state(execution) == "paused")
    resumed = house.as_(house.owner, "run", "resume", execution)
    assert (resumed.returncode, "nobody can accept this" in resumed.stderr) == (1, True)
    house.fleet.run("run", "cancel", execution, "--yes")
    house.fleet.until("it is cancelled", lambda: house.state(execution) == "cancelled")


def test_what_an_assistant_asks_for_waits_for_a_person_because_the_policy_says_so(house: House) -> None:
    execution, request = house.start("labelled", by="claude")
    asked = house.shown(request)
    assert (asked["scope"], asked["requested_by"]) == ("execution", ["claude"])
    assert "of the policy" in asked["asked"]["source"]
    own = house.as_("claude", "approval", "approve", request, "--yes", "--key", str(house.keys["bert"]))
    assert (own.returncode, "may not do" in own.stderr) == (5, True)
    # What is approved is what was planned: somebody changes a label meanwhile.
    house.fleet.run("host", "set", "one", "--label", "tier=bronze")
    drifted = house.as_(house.owner, "approval", "approve", request, "--yes")
    assert (drifted.returncode, "no longer holds" in drifted.stderr) == (1, True)
    assert house.state(execution) == "failed"
    assert house.shown(request)["state"] == "cancelled"
    again, request = house.start("labelled", by="claude")
    done = house.as_(house.owner, "approval", "approve", request, "--yes")
    assert done.returncode == 0, done.stderr
    (step,) = house.fleet.json("approval", "list", "--execution", again)
    house.as_("bert", "approval", "approve", step["id"], "--yes", "--key", str(house.keys["bert"]))
    house.fleet.until("it is over", lambda: house.state(again) == "completed")
    assert house.fleet.run("audit", "verify").returncode == 0


def test_a_restart_forgets_neither_what_is_asked_nor_who_has_agreed(house: House) -> None:
    execution, request = house.start("careful")
    house.as_("bert", "approval", "approve", request, "--yes", "--key", str(house.keys["bert"]))
    house.fleet.coordinator.kill()
    house.fleet.start_coordinator()
    assert [each["person"] for each in house.shown(request)["decisions"]] == ["bert"]
    house.as_("carl", "approval", "approve", request, "--yes", "--key", str(house.keys["carl"]))
    house.fleet.until("it is over", lambda: house.state(execution) == "completed")
