"""A host that believes only people: a coordinator gathers their signatures, and the agent checks them for itself."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.house import House
from tests.fleet.process import program


def workflow(name: str, required: int) -> str:
    asked = f'approvals: [{{step: gone, required: {required}, of: ["role:approver"]}}]' if required else "owner: x"
    return f"""
  {name}:
    version: "1.0.0"
    targets: {{hosts: [one]}}
    parameters: {{file: {{type: string}}}}
    {asked}
    steps:
      - {{id: look, type: http.check, run_once: true, when: "false", parameters: {{url: "http://127.0.0.1:1"}}}}
      - {{id: gone, type: file.remove, dependencies: [look], parameters: {{path: "${{{{ parameters.file }}}}"}}}}
"""


BLUEPRINT = (
    "pilotage: 1\nworkflows:" + workflow("wipe_unasked", 0) + workflow("wipe_hasty", 1) + workflow("wipe_careful", 2)
)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    made = House(tmp_path_factory.mktemp("house"), "one")
    try:
        made.open({})
        made.add("bert", "--role", "approver")
        made.add("carl", "--role", "approver")
        (made.folder / "wipe.yaml").write_text(BLUEPRINT)
        made.fleet.run("blueprint", "add", str(made.folder / "wipe.yaml"))
        for name in ("bert", "carl"):
            pinned = agent(made, "approver", "add", f"{made.keys[name]}.pub")
            assert pinned.returncode == 0, pinned.stderr
        made.fleet.environment["PILOTAGE_AGENT_APPROVER_QUORUM"] = "2"
        made.fleet.agents["one"].stop()
        made.fleet.agents["one"].start()
        made.fleet.until("the host says what it asks for", lambda: "signed_plans" in shown(made)["facts"])
        yield made
    finally:
        made.fleet.stop()


def agent(house: House, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [program("pilotage-agent"), *arguments, "--state-dir", str(house.fleet.state_of("one"))],
        env=house.fleet.environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def shown(house: House) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = house.fleet.json("host", "show", "one")
    return found


def test_the_host_says_what_it_asks_for(house: House) -> None:
    assert shown(house)["facts"]["signed_plans"] == {
        "steps": "destructive",
        "quorum": 2,
        "approvers": 2,
        "unsigned": [],
    }
    assert "the signatures of 2 of 2 pinned approvers" in agent(house, "status").stdout
    assert len(agent(house, "approver", "list").stdout.split("SHA256:")) == 3


def started(house: House, name: str, file: Path, *signers: str) -> str:
    """Start a blueprint, let people sign, and return what became of it."""
    file.write_text("precious")
    house.as_(house.owner, "--json", "run", "start", name, "-p", f"file={file}", "--yes")
    newest = str(house.fleet.json("run", "list")[0]["id"])
    for who in signers:
        (waiting,) = house.fleet.json("approval", "list", "--execution", newest)
        done = house.as_(who, "approval", "approve", waiting["id"], "--yes", "--key", str(house.keys[who]))
        assert done.returncode == 0, done.stdout + done.stderr
    house.fleet.until("it is over", lambda: house.state(newest) in ("completed", "failed"))
    return newest


def test_what_too_few_people_have_signed_is_not_done(house: House, tmp_path: Path) -> None:
    file = tmp_path / "data"
    told = house.fleet.run("run", "show", started(house, "wipe_unasked", file)).stdout
    assert "nobody has approved it with a signature" in " ".join(told.split())
    told = house.fleet.run("run", "show", started(house, "wipe_hasty", file, "bert")).stdout
    assert "has 1 of the 2 signatures that this host wants" in " ".join(told.split())
    assert file.read_text() == "precious"


def test_what_enough_people_have_signed_is_done(house: House, tmp_path: Path) -> None:
    file = tmp_path / "data"
    execution = started(house, "wipe_careful", file, "bert", "carl")
    assert house.state(execution) == "completed", house.fleet.run("run", "show", execution).stdout
    assert not file.exists()
