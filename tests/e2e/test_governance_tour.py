"""One change from the wish to its proof: an assistant asks for an upgrade, people agree, and the log tells it.

The walk-through of docs/governance.md is this tour; its commands are those that run here.
"""

import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from pilotage_client import RequestRefused
from pilotage_proto.decision import Statement

from tests.e2e.house import House, signed

BLUEPRINT = """\
pilotage: 1
workflows:
  shop_upgrade:
    version: "1.0.0"
    name: Upgrade the shop
    category: upgrades
    parameters:
      version: {type: string}
    targets: {hosts: [shop1, shop2]}
    steps:
      - id: install
        name: Put the new version in place
        type: file.write
        parameters:
          path: FOLDER/${{ host.name }}/shop
          content: "shop ${{ parameters.version }} for ${{ host.labels.tier }}\\n"
        rollout: {batches: [1, 1]}
      - id: move_orders
        name: Move the orders to the new form
        type: command.run
        parameters: {argv: [touch, "FOLDER/${{ host.name }}/moved"]}
        dependencies: [install]
        irreversible: true
"""
POLICY = """\
policy: 1
rules:
  - {name: owner-may-do-everything, level: role, roles: owner, decision: allow}
  - {name: assistants-may-look, level: role, kinds: assistant, effects: read, decision: allow}
  - name: assistants-upgrade-with-two
    description: An upgrade that an assistant wants needs two people.
    level: role
    kinds: assistant
    categories: upgrades
    effects: [idempotent, probe, once]
    decision: require_approval
    approval: {required: 2, of: ["role:approver"], timeout: 4h, strict: true, description: is this a good moment?}
"""


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path, "shop1", "shop2")
    try:
        made.open({"tier": "gold"})
        for host in ("shop1", "shop2"):
            (tmp_path / host).mkdir()
        for name in ("anna", "bert", "carl"):
            made.add(name, "--role", "approver")
        made.add("claude", "--kind", "assistant", "--role", "assistant", "--sponsor", "carl", key=False)
        yield made
    finally:
        made.fleet.stop()


def upgrade(house: House) -> tuple[str, str]:
    """The assistant asks for the upgrade; return its execution and the request that waits."""
    given = ("shop_upgrade", "-p", "version=2", "--reason", "The shop's new version mends the basket.", "--yes")
    done = house.as_("claude", "--json", "run", "start", *given)
    assert done.returncode == 3, done.stdout + done.stderr
    execution = house.fleet.json("run", "list")[0]["id"]
    (waiting,) = house.fleet.json("approval", "list", "--execution", execution)
    return execution, waiting["id"]


def test_an_upgrade_from_the_wish_to_its_proof(house: House, tmp_path: Path) -> None:
    house.fleet.run(
        "blueprint", "add", str(_written(tmp_path / "shop.yaml", BLUEPRINT.replace("FOLDER", str(tmp_path))))
    )
    policy = str(_written(tmp_path / "policy.yaml", POLICY))
    house.fleet.run("policy", "set", policy, "--comment", "upgrades that assistants want need two")

    # An assistant asks, and the policy asks two people.
    execution, request = upgrade(house)
    page = house.as_("bert", "approval", "show", request).stdout
    _is_readable(page, request, tmp_path)

    # Whoever asked decides nothing, also with somebody's signature; nor does the person who stands behind it.
    digest = house.shown(request)["plan_digest"]
    yes = Statement(request, "approve", digest)
    for proof in ("", signed(house.keys["bert"], yes)):
        with pytest.raises(RequestRefused, match=r"may not do `approval\.approve`"):
            house.ask("claude", lambda client, proof=proof: client.approve(request, proof))  # type: ignore[misc]
    own = _answers(house, "carl", request)
    assert (own.returncode, "carl answers for the assistant that asked" in own.stderr) == (1, True)

    # It is to wait for the evening. Two sign; what they have seen changes; nobody can wave that through.
    house.fleet.run("run", "pause", execution, "--reason", "not before the evening")
    assert "1 of 2 have agreed" in _answers(house, "anna", request).stdout
    assert _answers(house, "bert", request).returncode == 0
    assert house.shown(request)["state"] == "approved"
    house.fleet.run("host", "set", "shop1", "--label", "tier=silver")
    held = house.as_(house.owner, "run", "resume", execution)
    assert "is paused" in held.stdout, held.stderr
    assert "drift: " in house.fleet.json("run", "show", execution)["reason"]
    refused = house.as_(house.owner, "run", "resume", execution)
    assert (refused.returncode, "nobody can accept this for those who approved it" in refused.stderr) == (1, True)
    assert not (tmp_path / "shop1" / "shop").exists()
    house.fleet.run("run", "cancel", execution, "--yes")
    house.fleet.until("it is cancelled", lambda: house.state(execution) == "cancelled")

    # Planned anew, agreed on anew; the old signatures are good for nothing.
    execution, request = upgrade(house)
    with pytest.raises(RequestRefused, match="signed something else"):
        house.ask("bert", lambda client: client.approve(request, signed(house.keys["bert"], yes)))
    for who in ("anna", "bert"):
        assert _answers(house, who, request).returncode == 0
    house.fleet.until("it is done", lambda: house.state(execution) == "completed")
    assert (tmp_path / "shop1" / "shop").read_text() == "shop 2 for silver\n"
    assert (tmp_path / "shop2" / "moved").exists()

    # The log tells it all, and one bit of it that somebody turns is named.
    told = house.fleet.json("audit", "search", "--operation", "approval.approve", "--outcome", "allowed")
    assert [each["principal"] for each in told] == ["bert", "anna", "bert", "anna"]
    assert "unbroken" in house.fleet.run("audit", "verify").stdout
    entry = told[0]["sequence"]
    _turn_a_bit(house.fleet.state / "pilotage.db", entry)
    broken = house.fleet.run("audit", "verify", check=False)
    assert (broken.returncode, f"audit entry {entry} was changed" in broken.stderr) == (1, True)


def _answers(house: House, who: str, request: str) -> "subprocess.CompletedProcess[str]":
    return house.as_(who, "approval", "approve", request, "--yes", "--key", str(house.keys[who]))


def _is_readable(page: str, request: str, folder: Path) -> None:
    """What somebody must know who is no engineer, before anything that only an engineer reads."""
    plain, _, _ = page.partition("The same for engineers")
    for text in (
        "Upgrade the shop",
        "claude, an assistant program that acts for carl",
        "The shop's new version mends the basket.",
        "1. Put the new version in place, first on shop1, then on shop2",
        f"makes {folder}/shop1/shop",
        "2. Move the orders to the new form, on shop1, shop2  CANNOT BE UNDONE",
        "is this a good moment?",
        "2 people with the role approver",
        "then it is a no: what waits does not happen",
    ):
        assert text in plain, page
    assert "sha256:" not in plain
    assert page.rstrip().splitlines()[-2].endswith(f"pilotage approval approve {request}")


def _written(file: Path, text: str) -> Path:
    file.write_text(text)
    return file


def _turn_a_bit(database: Path, entry: int) -> None:
    """Do what somebody can who may write the database's file."""
    with closing(sqlite3.connect(database, timeout=30)) as connection, connection:
        (trigger,) = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'audit_unchanged'").fetchone()
        connection.execute("DROP TRIGGER audit_unchanged")
        (subject,) = connection.execute("SELECT subject FROM audit_log WHERE sequence = ?", (entry,)).fetchone()
        turned = subject[:-1] + chr(ord(subject[-1]) ^ 1)
        connection.execute("UPDATE audit_log SET subject = ? WHERE sequence = ?", (turned, entry))
        connection.execute(trigger)
