"""Principals, roles and tokens on the command line, and how a command reaches a coordinator elsewhere."""

import os
import stat
from pathlib import Path

import pytest
from pilotage_client import ClientError
from pilotage_coordinator.cli.app import PLACES
from pilotage_coordinator.cli.arguments import global_first
from pilotage_coordinator.cli.deferred import load
from pilotage_coordinator.cli.exits import NotUnderstood
from pilotage_coordinator.cli.reaching import Way, client_of, way_of
from pilotage_coordinator.cli.settings import GlobalOptions
from pilotage_coordinator.cli.token_files import write_token

from tests.unit.cli.reference import commands
from tests.unit.cli.terminal import Terminal
from tests.unit.service.desk import GUEST, KEY, TOKEN, Desk


async def people(desk: Desk) -> None:
    await desk.add_principals()


def test_who_one_is_and_what_one_holds(terminal: Terminal) -> None:
    said = terminal.run("whoami")
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith("ann  person\nby being its owner, on its machine, through socket\n")
    assert "Role       owner, for everything (given by coordinator)" in said.out
    assert "There is one person here." in said.out
    assert terminal.run("--json", "whoami").json["single_operator"] is True


def test_a_principal_is_added_listed_shown_changed_and_disabled(terminal: Terminal, tmp_path: Path) -> None:
    key = tmp_path / "eva.pub"
    key.write_text(KEY + "\n")
    said = terminal.run(
        "principal", "add", "eva", "--role", "operator", "--category", "backup", "-l", "role=db", "--key", str(key)
    )
    assert said.code == 0
    assert "Role       operator, for category backup; hosts role=db (given by ann)" in said.out
    assert "Key        SHA256:kmYcvdi2GkPeWxB6XLjrZB8JHsy2Hm8luHMFp9GMvqk  ssh-ed25519  bob@laptop" in said.out
    assert said.audit == [("principal.add", "allowed", "eva")]
    listed = terminal.run("principal", "list", prepare=people).out
    assert [line.split()[:3] for line in listed.splitlines()] == [
        ["NAME", "KIND", "STATE"], ["ann", "person", "owner"], ["bob", "person", "ok"], ["bot", "assistant", "ok"],
    ]  # fmt: skip
    shown = terminal.run("principal", "show", "bot", prepare=people).out
    assert "May        run: control (own only), read, start" in shown
    assert terminal.run("principal", "role", "bob", "--add", "auditor", prepare=people).audit == [
        ("principal.role", "allowed", "bob")
    ]
    assert "disabled since" in terminal.run("principal", "disable", "bot", "--yes", prepare=people).out
    assert terminal.run("principal", "disable", "bot", prepare=people).code == 2
    assert terminal.run("principal", "role", "bob", prepare=people).code == 2
    assert terminal.run("principal", "keys", "bob", prepare=people).code == 2


@pytest.mark.parametrize("content", [b"\xff\xfe", None, b"-----BEGIN OPENSSH PRIVATE KEY-----"])
def test_what_is_no_public_key_is_refused(terminal: Terminal, tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "key"
    if content is not None:
        file.write_bytes(content)
    said = terminal.run("principal", "keys", "bob", "--add", str(file), prepare=people)
    assert said.code in (1, 2)
    assert ".pub" in said.err


def test_roles_are_made_shown_and_removed(terminal: Terminal) -> None:
    made = terminal.run("role", "set", "mine", "-p", "run.start", "-p", "*.read", "--description", "Mine.")
    assert (made.code, made.audit) == (0, [("role.set", "allowed", "mine")])
    assert "Gives      *.read, run.start" in made.out
    assert terminal.run("role", "set", "mine", "-p", "run.strat").code == 1
    assert "owner      built in" in terminal.run("role", "list").out
    assert "Held by    ann" in terminal.run("role", "show", "owner").out
    assert terminal.run("role", "rm", "unused", "--yes", prepare=people).out == "removed unused\n"


def test_a_token_is_shown_once_or_goes_into_a_file_of_ones_own(terminal: Terminal, tmp_path: Path) -> None:
    said = terminal.run("token", "create", "bot", "--expires", "12h", prepare=people)
    assert said.out.startswith("plt_")
    assert said.audit == [("token.create", "allowed", "bot")]
    file = tmp_path / "bot.token"
    kept = terminal.run("token", "create", "bot", "--to-file", str(file), prepare=people)
    text = file.read_text().strip()
    assert text.startswith("plt_")
    assert text not in kept.out + kept.err
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    rotated = terminal.run("--json", "token", "rotate", TOKEN, "--to-file", str(file), prepare=people)
    assert "text" not in rotated.json
    assert file.read_text().strip() not in (text, "")
    assert TOKEN in terminal.run("token", "list", "bot", prepare=people).out
    assert terminal.run("token", "revoke", TOKEN, "--yes", prepare=people).out == f"{TOKEN} of bot is revoked\n"
    for wrong in ("90", "1y", "-1d", "d"):
        assert terminal.run("token", "create", "bot", f"--expires={wrong}").code == 2


def test_what_is_denied_is_exit_code_5(terminal: Terminal) -> None:
    said = terminal.run("principal", "list", caller=GUEST)
    assert said.code == 5
    assert "principal.read" in said.err


def test_a_token_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ClientError, match="No such file"):
        write_token(tmp_path / "no" / "file", "plt_x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ClientError):
        write_token(tmp_path / "folder", "plt_x")
    assert [each.name for each in tmp_path.iterdir()] == ["folder"]


def test_no_command_takes_a_token_as_an_option() -> None:
    """Every process of a machine can read the command lines of all others."""
    options = {name for command in commands().values() for each in command.params for name in each.opts}
    options |= {name for place in PLACES for each in load(place, PLACES[place]).params for name in each.opts}
    assert not options & {"--token", "--bearer", "--password", "--api-token"}
    assert "--to-file" in options


def test_the_new_options_may_stand_anywhere() -> None:
    given = ["host", "list", "--url", "https://x", "--json", "--token-file=t", "--", "--ca", "y"]
    assert global_first(given) == ["--url", "https://x", "--json", "--token-file=t", "host", "list", "--", "--ca", "y"]


@pytest.fixture
def contexts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    file = tmp_path / "pilotage" / "contexts.toml"
    file.parent.mkdir()
    return file


def test_a_context_names_url_authority_and_token_beside_it(contexts: Path) -> None:
    contexts.write_text('[home]\nurl = "https://c:7445"\nca = "ca.pem"\ntoken_file = "/run/t"\n[here]\nsocket = "s"\n')
    home = Way("https://c:7445", None, Path("/run/t"), contexts.parent / "ca.pem")
    assert way_of(GlobalOptions(context="home")) == home
    assert way_of(GlobalOptions(context="here")) == Way(socket=contexts.parent / "s")
    # What is given beside a context wins over it.
    assert way_of(GlobalOptions(context="home", url="https://d", ca=Path("x"))).url == "https://d"
    assert way_of(GlobalOptions(context="home", socket=Path("s"))) == Way("", Path("s"), home.token_file, home.ca)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no context home; there are: none"),
        ("home = 1", "has no context home"),
        ("[home]\n", "exactly one of url and socket"),
        ('[home]\nurl = "https://c"\nsocket = "s"', "exactly one of url and socket"),
        ('[home]\nurl = "https://c"\ntoken = "plt_x"', "has no field token"),
        ("[home]\nurl = 1", "fields that are no texts"),
        ("[home", "cannot be read"),
    ],
)
def test_a_context_that_makes_no_sense_is_refused_and_nothing_guessed(contexts: Path, text: str, words: str) -> None:
    contexts.write_text(text)
    with pytest.raises(NotUnderstood, match=words):
        way_of(GlobalOptions(context="home"))


async def test_a_url_needs_a_token_and_a_token_file_that_nobody_else_reads(tmp_path: Path) -> None:
    options = GlobalOptions(url="https://127.0.0.1:1")
    with pytest.raises(NotUnderstood, match="asks for an API token"):
        client_of(options, {})
    file = tmp_path / "t"
    file.write_text("plt_x\n")
    file.chmod(0o640)
    with pytest.raises(NotUnderstood, match="can be read by others") as refusal:
        client_of(GlobalOptions(url="https://127.0.0.1:1", token_file=file), {})
    assert "plt_x" not in refusal.value.detail + refusal.value.fix
    file.chmod(0o600)
    for way, environment in (
        (GlobalOptions(url=options.url, token_file=file), {}),
        (options, {"PILOTAGE_TOKEN": "plt_y"}),
    ):
        async with client_of(way, environment):
            pass
    with pytest.raises(NotUnderstood, match="both a URL and a socket"):
        client_of(GlobalOptions(url="https://x", socket=Path("s")), dict(os.environ))
    with pytest.raises(ClientError, match="no https"):
        client_of(GlobalOptions(url="http://x"), {"PILOTAGE_TOKEN": "plt_y"})
    with pytest.raises(NotUnderstood, match="No such file"):
        client_of(GlobalOptions(token_file=tmp_path / "none"), {})
