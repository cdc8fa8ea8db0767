"""The commands of pilotage-agent."""

import asyncio
import json
import os
import shutil
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import typer
from pilotage_proto.sshsig import read_key
from typer.exceptions import TyperException

from pilotage_agent.agent import agent_version
from pilotage_agent.approval.pins import pin_approvers, read_approvers, write_approvers
from pilotage_agent.approval.settings import demands_of, in_words
from pilotage_agent.config import AgentConfig, load_config
from pilotage_agent.errors import AgentError, ConfigRefused, EnrolmentFailed, NotEnrolled, StateLocked
from pilotage_agent.identity import load_identity, utc_now, write_private
from pilotage_agent.install import UNIT, install, is_running, python_of_this_install, uninstall, unit_text
from pilotage_agent.journal_sqlite import SqliteJournalStore
from pilotage_agent.link.enrol import JoinToken, finish_joining, join
from pilotage_agent.state_dir import StateDir, StateLock
from pilotage_agent.witness import read_owners

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_UNREACHABLE: Final = 4

app = typer.Typer(no_args_is_help=True, add_completion=False, help="The agent that takes a host into a Pilotage fleet.")

StateDirOption = Annotated[
    Path | None, typer.Option("--state-dir", help="Where the agent keeps its identity and journal.")
]
ConfigOption = Annotated[Path | None, typer.Option("--config", help="Settings file (agent.toml).")]


@app.command("join")
def join_command(
    token: Annotated[str, typer.Argument(help="What pilotage host token printed; - reads it from standard input.")],
    name: Annotated[str, typer.Option("--name", help="Name of this host in the fleet.")] = "",
    again: Annotated[bool, typer.Option("--again", help="Replace the identity that this machine has.")] = False,
    reach: Annotated[
        str, typer.Option("--reach", help="Reach the coordinator under this name or address, not the token's.")
    ] = "",
    approvers: Annotated[
        Path | None,
        typer.Option("--approvers", help="Pin these public SSH keys: destructive steps need a signature by them."),
    ] = None,
    state_dir: StateDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Join a fleet with a token."""
    settings = load_config(config, state_dir, os.environ)
    state = StateDir(settings.state_dir)
    state.make()
    if approvers is not None:
        # Before anything is asked of the coordinator: from its first step on this host believes nobody else.
        pin_approvers(state.approvers, approvers)
    lock = StateLock.take(state)
    try:
        if (state.identity / "agent.json").exists() and not again:
            known = load_identity(state.identity).enrolment
            raise ConfigRefused(f"this machine has joined already, as {known.host_name}; --again replaces that")
        text = sys.stdin.readline() if token == "-" else token  # noqa: S105
        parsed = JoinToken.parse(text)
        proposed = name or parsed.name or socket.gethostname()
        identity = asyncio.run(join(parsed, proposed, state.joining, agent_version(), reach=reach))
        finish_joining(identity, state.identity, state.joining)
    finally:
        lock.release()
    typer.echo(f"joined as {identity.enrolment.host_name} ({identity.enrolment.host_id})")
    typer.echo("next: pilotage-agent install (a system service), or pilotage-agent run (in the foreground)")


owner_app = typer.Typer(
    no_args_is_help=True, help="Say whose signature this host needs to go back with a restored coordinator."
)
app.add_typer(owner_app, name="owner")


@owner_app.command("add")
def owner_add(
    file: Annotated[Path, typer.Argument(help="The owner's public SSH key, such as id_ed25519.pub.")],
    state_dir: StateDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Trust an owner's key: from then on this host takes a restored coordinator only with that owner's signature."""
    state = StateDir(load_config(config, state_dir, os.environ).state_dir)
    state.make()
    try:
        key = read_key(file.read_text(encoding="utf-8"))
        lines = read_owners(state.owners)
        if key.line not in (" ".join(line.split()[:2]) for line in lines):
            comment = f"# {key.fingerprint}, added from {file}"
            write_private(state.owners, "".join(f"{line}\n" for line in (*lines, comment, key.line)).encode())
    except (OSError, ValueError) as error:
        raise ConfigRefused(f"{file}: {error}") from error
    typer.echo(f"this host goes back with a restored coordinator only by a signature of {key.fingerprint}")


@owner_app.command("list")
def owner_list(state_dir: StateDirOption = None, config: ConfigOption = None) -> None:
    """List the owners' keys that this host trusts."""
    state = StateDir(load_config(config, state_dir, os.environ).state_dir)
    try:
        keys = [read_key(line) for line in read_owners(state.owners)]
    except (OSError, ValueError) as error:
        raise ConfigRefused(f"{state.owners}: {error}") from error
    for key in keys:
        typer.echo(key.fingerprint)
    if not keys:
        typer.echo("none: a coordinator that says it was restored is taken without a signature", err=True)


approver_app = typer.Typer(
    no_args_is_help=True, help="Say whose signatures this host needs before it does what may destroy something."
)
app.add_typer(approver_app, name="approver")


@approver_app.command("add")
def approver_add(
    file: Annotated[Path, typer.Argument(help="Public SSH keys, one a line, such as id_ed25519.pub.")],
    state_dir: StateDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Pin approvers' keys: from then on destructive steps run only if enough of them signed the plan."""
    state = StateDir(load_config(config, state_dir, os.environ).state_dir)
    state.make()
    for fingerprint in pin_approvers(state.approvers, file):
        typer.echo(f"destructive steps need the signature of {fingerprint}, or of another approver of this host")
    typer.echo("next: restart the agent, so that the coordinator knows: systemctl restart pilotage-agent", err=True)


@approver_app.command("remove")
def approver_remove(
    fingerprint: Annotated[str, typer.Argument(help="SHA256:… as `approver list` shows it.")],
    state_dir: StateDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Believe a key no more. Its signatures count for nothing from the next step on."""
    state = StateDir(load_config(config, state_dir, os.environ).state_dir)
    try:
        keys = [read_key(line) for line in sorted(read_approvers(state.approvers, required=False))]
    except (OSError, ValueError) as error:
        raise ConfigRefused(f"{state.approvers}: {error}") from error
    kept = [key for key in keys if key.fingerprint != fingerprint]
    if len(kept) == len(keys):
        raise ConfigRefused(f"{fingerprint} is not pinned here: pilotage-agent approver list")
    write_approvers(state.approvers, kept)
    typer.echo(f"{fingerprint} is no approver of this host any more")


@approver_app.command("list")
def approver_list(state_dir: StateDirOption = None, config: ConfigOption = None) -> None:
    """List the approvers' keys that this host believes, and what it asks for."""
    settings = load_config(config, state_dir, os.environ)
    demands = demands_of(settings)
    keys = [read_key(line) for line in sorted(demands.keys())]
    for key in keys:
        typer.echo(key.fingerprint)
    typer.echo(in_words(demands), err=not keys)


@app.command("run")
def run_command(state_dir: StateDirOption = None, config: ConfigOption = None) -> None:
    """Run the agent in the foreground."""
    arguments = [sys.executable, "-m", "pilotage_agent"]
    if state_dir is not None:
        arguments += ["--state-dir", str(state_dir)]
    if config is not None:
        arguments += ["--config", str(config)]
    # Same process, without what only the command line needs: the agent stays small for months.
    os.execv(sys.executable, arguments)  # noqa: S606


@app.command("install")
def install_command(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the unit and change nothing.")] = False,
    state_dir: StateDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Install and start the agent as a system service."""
    settings = load_config(config, state_dir, os.environ)
    text = unit_text(python_of_this_install(), settings.state_dir, None if config is None else config.absolute())
    if dry_run:
        typer.echo(text, nl=False)
        return
    load_identity(StateDir(settings.state_dir).identity)
    install(text)
    typer.echo(f"{UNIT} runs; it starts with this machine. See: systemctl status {UNIT}")


@app.command("uninstall")
def uninstall_command() -> None:
    """Stop the system service and take it away; identity and journal stay."""
    uninstall()
    typer.echo(f"{UNIT} is gone; the state folder stays")


@app.command("status")
def status_command(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    state_dir: StateDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Show who this agent is and how its link is."""
    shown = status_of(load_config(config, state_dir, os.environ))
    if as_json:
        typer.echo(json.dumps(shown))
        return
    for key, value in shown.items():
        typer.echo(f"{key.replace('_', ' '):<20} {value}")


@app.command("doctor")
def doctor_command(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    state_dir: StateDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Check what the agent needs, and say how to mend what is missing."""
    settings = load_config(config, state_dir, os.environ)
    found = [_examined(name, check, settings) for name, check in _CHECKS]
    healthy = all(each["verdict"] == "ok" for each in found)
    if as_json:
        typer.echo(json.dumps({"healthy": healthy, "items": found}))
    else:
        for each in found:
            typer.echo(f"{'ok  ' if each['verdict'] == 'ok' else 'FAIL'}  {each['check']}: {each['detail']}")
    if not healthy:
        raise typer.Exit(EXIT_FAILED)


def _examined(name: str, check: Callable[[AgentConfig], str], settings: AgentConfig) -> dict[str, str]:
    try:
        return {"check": name, "verdict": "ok", "detail": check(settings)}
    except (AgentError, OSError) as error:
        return {"check": name, "verdict": "failure", "detail": str(error)}


def status_of(config: AgentConfig) -> dict[str, object]:
    """Return what is known of the agent in a state folder, running or not."""
    state = StateDir(config.state_dir)
    identity = load_identity(state.identity)
    running = _is_locked(state)
    link = _link(state) if running else "the agent does not run"
    return {
        "host_name": identity.enrolment.host_name,
        "host_id": identity.enrolment.host_id,
        "coordinator": identity.enrolment.fleet_address,
        "certificate_until": identity.expires.isoformat(),
        "running": running,
        "link": link,
        "service": is_running(),
        "signed_plans": in_words(demands_of(config)),
        "state_dir": str(config.state_dir),
    }


def _link(state: StateDir) -> str:
    try:
        return str(json.loads(state.status.read_text())["text"])
    except (OSError, ValueError, KeyError):
        return "not known yet"


def _is_locked(state: StateDir) -> bool:
    try:
        StateLock.take(state).release()
    except StateLocked:
        return True
    return False


def _check_identity(config: AgentConfig) -> str:
    identity = load_identity(StateDir(config.state_dir).identity)
    left = identity.expires - utc_now()
    if left.total_seconds() < 0:
        return f"{identity.enrolment.host_name}; the certificate ran out and will be renewed by its key"
    return f"{identity.enrolment.host_name}, certificate for {left.total_seconds() / 3600:.1f} h more"


def _check_coordinator(config: AgentConfig) -> str:
    address = load_identity(StateDir(config.state_dir).identity).enrolment.fleet_address
    host, _, port = address.rpartition(":")
    begin = time.monotonic()
    with socket.create_connection((host.strip("[]"), int(port)), timeout=5):
        return f"{address} answers in {(time.monotonic() - begin) * 1000:.0f} ms"


def _check_link(config: AgentConfig) -> str:
    """Say how the running agent's own link is: that the port answers does not mean that this host is let in."""
    state = StateDir(config.state_dir)
    if not _is_locked(state):
        return "the agent does not run, so nobody has asked; start it with pilotage-agent run, or install"
    try:
        status = json.loads(state.status.read_text())
        connected, text = bool(status["connected"]), str(status["text"])
    except (OSError, ValueError, KeyError):
        return "not known yet"
    if connected:
        return text
    cure = ""
    if "revoked" in text:
        cure = ". To let this machine in again: `pilotage host token` on the coordinator, `pilotage-agent join --again`"
    raise ConfigRefused(f"{text}{cure}")


def _check_journal(config: AgentConfig) -> str:
    state = StateDir(config.state_dir)
    if not state.journal.exists():
        return "none yet; the first start makes one"
    if _is_locked(state):
        return "in use by the running agent"
    store = SqliteJournalStore.open(state.journal, "unused")
    try:
        return f"{len(store.load().entries)} open attempt(s)"
    finally:
        store.close()


def _check_space(config: AgentConfig) -> str:
    free = shutil.disk_usage(config.state_dir).free
    if free < 100 << 20:
        raise ConfigRefused(
            f"only {free >> 20} MiB free in {config.state_dir}: nothing is started without journal space"
        )
    return f"{free >> 20} MiB free"


_CHECKS: Final[tuple[tuple[str, Callable[[AgentConfig], str]], ...]] = (
    ("identity", _check_identity),
    ("coordinator", _check_coordinator),
    ("link", _check_link),
    ("journal", _check_journal),
    ("disk", _check_space),
    ("signed plans", lambda config: in_words(demands_of(config))),
)


def main() -> None:
    """The entry point: every error of ours becomes one line, or with --json one object, and an exit code."""
    as_json = "--json" in sys.argv[1:]
    try:
        sys.exit(app(standalone_mode=not as_json) or 0)
    except EnrolmentFailed as error:
        _fail(str(error), EXIT_UNREACHABLE if "can be reached" in str(error) else EXIT_FAILED, as_json)
    except (ConfigRefused, NotEnrolled, StateLocked) as error:
        _fail(str(error), EXIT_USAGE, as_json)
    except AgentError as error:
        _fail(str(error), EXIT_FAILED, as_json)
    except TyperException as error:
        refusal: Any = error
        _fail(refusal.format_message(), refusal.exit_code, as_json)


def _fail(text: str, code: int, as_json: bool) -> NoReturn:
    if as_json:
        kind = "usage" if code == EXIT_USAGE else "infrastructure"
        typer.echo(json.dumps({"error": text, "kind": kind, "fix": "", "problems": []}), err=True)
    else:
        typer.echo(f"pilotage-agent: {text}", err=True)
    sys.exit(code)
