"""`pilotage host`."""

import json
from collections.abc import Iterator
from itertools import groupby
from typing import Annotated, Final

import typer
from pilotage_client import PilotageClient
from pilotage_client.answers import HostDetail, HostProof, HostSummary

from pilotage_coordinator.cli.completion import hosts
from pilotage_coordinator.cli.confirm import confirmed
from pilotage_coordinator.cli.exits import NotUnderstood
from pilotage_coordinator.cli.inputs import read_labels
from pilotage_coordinator.cli.moments import ago, local
from pilotage_coordinator.cli.screen import Screen
from pilotage_coordinator.cli.session import perform

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    help="Let hosts in, label them, look at them, shut them out.",
)

LONGEST_FACT: Final = 600
"""Characters of a fact that are shown."""

Name = Annotated[str, typer.Argument(metavar="HOST", autocompletion=hosts, help="The host's name.")]


@app.command()
def token(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Let in the host of this name only.")] = None,
    label: Annotated[
        list[str] | None,
        typer.Option("--label", metavar="NAME=VALUE", help="Given to the host that joins; may be repeated."),
    ] = None,
) -> None:
    """Print a join token: good for one host and a quarter of an hour."""

    async def work(client: PilotageClient, screen: Screen) -> None:
        labels = {key: value or "" for key, value in read_labels(label or []).items()}
        made = await client.make_token(name, labels)
        if screen.json:
            screen.object(made)
            return
        screen.hint(f"run this on the machine that joins, before {local(made['expires_at'])}:")
        screen.line(made["command"])
        address = (await client.status())["enrol_address"]
        if address.startswith(("127.", "[::1]", "localhost:")):
            screen.hint(f"only this machine reaches {address}; for others: pilotage down, then up --advertise NAME")

    perform(context, work)


@app.command("list")
def list_(
    context: typer.Context,
    revoked: Annotated[bool, typer.Option("--revoked", help="Also those that were shut out.")] = False,
) -> None:
    """List hosts and whether they can be reached."""

    async def work(client: PilotageClient, screen: Screen) -> None:
        rows = await client.list_hosts(revoked=revoked)
        if screen.json:
            screen.object(rows)
            return
        screen.table(
            ("NAME", "STATE", "LABELS", "LAST SEEN", "BACKUP", "DRILL", "AGENT"),
            [
                (
                    row["name"],
                    row["state"],
                    _labels(row),
                    ago(row["last_seen_at"]),
                    ago(row["last_backup_at"]) or "—",
                    ago(row["last_drill_at"]) or "—",
                    row["agent_version"],
                )
                for row in rows
            ],
            "No host has joined yet. Let one in: pilotage host token",
        )

    perform(context, work)


@app.command()
def show(context: typer.Context, name: Name) -> None:
    """Show one host: what it is, what people say of it, what it can run."""

    async def work(client: PilotageClient, screen: Screen) -> None:
        host = await client.show_host(name)
        if screen.json:
            screen.object(host)
            return
        screen.line(f"{host['name']}  {host['state']}", "bold")
        if host["state_reason"]:
            screen.folded(f"because: {host['state_reason']}")
        if host["state"] == "quarantined":
            screen.hint(
                f"it gets no work. If it is one machine, and yours: pilotage host release {name} --reason TEXT; "
                f"what was open on it is settled anew. If not: pilotage host revoke {name}, and let it join again"
            )
        screen.folded(
            f"id {host['id']}, joined {local(host['joined_at'])}, last seen {ago(host['last_seen_at'])}", "dim"
        )
        for line in (*_proofs(host), *_signatures(host)):
            screen.folded(line)
        screen.line()
        screen.folded(f"Labels     {_labels(host) or '—'}")
        for key, value in sorted(host["variables"].items()):
            screen.folded(f"Variable   {key} = {json.dumps(value, ensure_ascii=False)}")
        screen.line("\nFacts", "bold")
        for key, value in sorted(host["facts"].items()):
            screen.folded(f"  {key}: {fact(value)}")
        screen.line("\nCan run", "bold")
        for family in _families(host):
            screen.folded(f"  {family}")
        if missing := _unavailable(host):
            screen.line("\nCannot run now", "bold")
            for why, names in missing.items():
                screen.folded(f"  {', '.join(names)}: {why}", "yellow")
        for plugin in host["quarantined_plugins"]:
            screen.line(f"  quarantined: {json.dumps(plugin, ensure_ascii=False)}", "yellow")

    perform(context, work)


@app.command("set")
def set_(
    context: typer.Context,
    name: Name,
    label: Annotated[
        list[str] | None, typer.Option("--label", "-l", metavar="NAME=VALUE", help="NAME= removes it; may be repeated.")
    ] = None,
    var: Annotated[
        list[str] | None,
        typer.Option(
            "--var", metavar="NAME=VALUE", help="For expressions, as host.vars; VALUE may be JSON; NAME= removes it."
        ),
    ] = None,
    environment: Annotated[
        str | None,
        typer.Option("--environment", "-e", metavar="NAME", help="Such as production; an empty name removes it."),
    ] = None,
) -> None:
    """Set labels, variables and the environment of a host; what is not named stays."""

    async def work(client: PilotageClient, screen: Screen) -> None:
        labels, variables = read_labels(label or []), read_labels(var or [])
        if not labels and not variables and environment is None:
            raise NotUnderstood("nothing to set", "name a label: pilotage host set NAME --label role=db")
        host = await client.set_host(
            name,
            labels=labels,
            variables={key: _variable(text) for key, text in variables.items()},
            environment=environment,
        )
        if screen.json:
            screen.object(host)
        else:
            screen.line(f"{host['name']}  {_labels(host)}")

    perform(context, work)


@app.command()
def release(
    context: typer.Context,
    name: Name,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="What you found; kept in the audit log.")],
) -> None:
    """Let a host out of quarantine, once you know why it is there; what was open on it is settled anew."""

    async def work(client: PilotageClient, screen: Screen) -> None:
        host = await client.release_host(name, reason)
        if screen.json:
            screen.object(host)
        else:
            screen.line(f"{host['name']} is released; its agent comes back by itself within minutes")

    perform(context, work)


@app.command()
def revoke(
    context: typer.Context,
    name: Name,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Kept in the audit log.")] = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Shut a host out for good: its certificates end at once."""

    async def work(client: PilotageClient, screen: Screen) -> None:
        if not confirmed(screen, f"Shut {name} out for good? It can only come back as a new host.", yes=yes):
            return
        host = await client.revoke_host(name, reason)
        if screen.json:
            screen.object(host)
        else:
            screen.line(f"{host['name']} is revoked; what it still runs it cannot report any more")

    perform(context, work)


def _families(host: HostDetail) -> list[str]:
    """Return the step types that the host can run, those of one family in one line."""
    names = sorted(str(each.get("name", "?")) for each in host["step_types"] if each.get("available", True))
    return [", ".join(each) for _, each in groupby(names, key=lambda name: name.partition(".")[0])]


def _unavailable(host: HostDetail) -> dict[str, list[str]]:
    """Return why the host cannot run step types that its plugins bring: reason to names."""
    found: dict[str, list[str]] = {}
    for each in sorted(host["step_types"], key=lambda each: str(each.get("name", "?"))):
        if not each.get("available", True):
            why = " ".join(str(each.get("reason") or "its agent does not say why").split())
            found.setdefault(why, []).append(str(each.get("name", "?")))
    return found


def _signatures(host: HostDetail) -> Iterator[str]:
    """Yield what a host does only when people have signed the plan, if it has said so."""
    wanted = host["facts"].get("signed_plans")
    if isinstance(wanted, dict):
        steps = "every step" if wanted.get("steps") == "all" else "destructive steps"
        free = ", ".join(map(str, wanted.get("unsigned") or ()))
        count = f"{wanted.get('quorum')} of its {wanted.get('approvers')} pinned approvers"
        yield f"{'Signed':<10} {steps} only with the signatures of {count}{f'; none for {free}' if free else ''}"


def _proofs(host: HostDetail) -> Iterator[str]:
    yield from _proved("Backup", host["last_backup"], host["last_failed_backup"])
    yield from _proved("Drill", host["last_drill"], host["last_failed_drill"])


def _proved(what: str, good: HostProof | None, bad: HostProof | None) -> Iterator[str]:
    """Yield the last good one, and the last bad one where it is newer."""
    verb = "passed" if what == "Drill" else "good"
    if good is None:
        yield f"{what:<10} none {verb} yet"
    else:
        yield f"{what:<10} last {verb} {ago(good['at'])}, {_told(good)}"
    if bad is not None and (good is None or bad["at"] > good["at"]):
        yield f"{'':<10} failed {ago(bad['at'])}, {_told(bad)}"


def _told(proof: HostProof) -> str:
    where = f"{proof['execution']} {proof['step']}" + (f"[{proof['item']}]" if proof["item"] else "")
    told = [f"{name} {value}" for name, value in sorted(proof["detail"].items())]
    return ", ".join([where, *told])


def fact(value: object) -> str:
    """Return a fact as it is shown: one that is long, such as a list of packages, with its beginning only."""
    text = json.dumps(value, ensure_ascii=False)
    if len(text) <= LONGEST_FACT:
        return text
    count = f"{len(value)} in all; " if isinstance(value, list) else ""
    return f"{text[:LONGEST_FACT]}… ({count}--json shows it whole)"


def _labels(host: HostSummary) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted(host["labels"].items()))


def _variable(text: str | None) -> object:
    if text is None:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return text
