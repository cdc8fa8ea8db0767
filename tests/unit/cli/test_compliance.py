"""`pilotage compliance`, from the command line down to the store, in words that need no engineer."""

from tests.unit.cli.terminal import Terminal
from tests.unit.service.desk import EXECUTION, NOW, Desk
from tests.unit.service.test_compliance import OWNED, kept, prepare


async def with_rules(desk: Desk) -> None:
    await prepare(desk, OWNED)
    await desk.add_host("db1")


async def with_history(desk: Desk) -> None:
    await desk.add_execution()
    await desk.add_execution(EXECUTION[:-1] + "2")
    await desk.store.compliance.add(kept(EXECUTION))
    await desk.store.compliance.add(kept(outcome="blocked", result="failed", at=NOW + 1))


def test_a_check_says_what_does_not_hold_what_was_looked_at_and_what_to_do(terminal: Terminal) -> None:
    said = terminal.run("compliance", "check", "check", "-l", "role=db", prepare=with_rules)
    assert said.code == 1
    lines = [line.strip() for line in said.out.splitlines()]
    assert lines[0] == "check@1.1.0  blocked: may not be run"
    assert lines[1] == "looked at the hosts of -l role=db"
    assert "ok        told: owner" in lines
    assert "owner: ops" in lines
    at = lines.index("NO        fresh: backup_within")
    assert lines[at + 1 : at + 3] == ["no good backup within 1d of db1", "host db1"]
    assert lines[at + 3].startswith("back it up first")
    assert said.audit == [("compliance.check", "allowed", "check")]


def test_a_check_of_all_answers_for_each_and_in_json_with_the_evidence(terminal: Terminal) -> None:
    said = terminal.run("--json", "compliance", "check", "--all", "-l", "role=db", prepare=with_rules)
    (only,) = said.json["blueprints"]
    assert (said.code, only["blueprint"], only["outcome"]) == (1, "check", "blocked")
    assert only["findings"][1]["evidence"] == [{"host": "db1", "result": "failed"}]
    assert terminal.run("compliance", "check").code == 2
    assert terminal.run("compliance", "check", "check", "--all").code == 2
    missing = terminal.run("compliance", "check", "nothing", prepare=with_rules)
    assert missing.code == 1
    assert "nothing" in missing.err


def test_without_rules_it_says_so(terminal: Terminal) -> None:
    said = terminal.run("compliance", "check", "--all")
    assert (said.code, said.out.strip()) == (
        0,
        "There are no rules of compliance: the policy's file has no `compliance:`.",
    )


def test_a_report_counts_and_tells_what_was_refused_and_what_nobody_checked(terminal: Terminal) -> None:
    said = terminal.run("compliance", "report", prepare=with_history)
    lines = [line.strip() for line in said.out.splitlines()]
    assert lines[0] == "Compliance from the beginning until now"
    assert "check  2 executions" in lines
    assert "1 kept the rules, 0 did not keep all and were only warned about" in lines
    assert "1 not checked: there were no rules of compliance then" in lines
    assert "kept from being planned or started: 1 time" in lines
    assert "told: held 1, did not 1, not known 0" in lines
    assert any("blocked  nothing was started (start)" in line for line in lines)
    assert "asked for by ann (person), version 1.0.0, policy 1" in lines
    other = terminal.run("compliance", "report", "--blueprint", "other", prepare=with_history)
    assert "Nothing was planned, started or refused in this time." in other.out
    assert terminal.run("compliance", "report", "--from", "soon").code == 2
    assert (
        terminal.run("--json", "compliance", "report", "--from", "2026-01-01", prepare=with_history).json["left_out"]
        == 0
    )


def test_the_policy_shows_its_rules_of_compliance(terminal: Terminal) -> None:
    said = terminal.run("policy", "show", prepare=with_rules)
    assert "fresh  blocks (compliance)" in said.out
    assert "asks for: a good backup of each host within 1d" in said.out
    assert "told  warns (compliance)" in said.out
