"""`pilotage backup`."""

import base64
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

import typer
from pilotage_client import ClientError, PilotageClient

from pilotage_coordinator.cli.confirm import confirmed
from pilotage_coordinator.cli.deferred import DeferredGroup, Place
from pilotage_coordinator.cli.moments import local
from pilotage_coordinator.cli.screen import Screen
from pilotage_coordinator.cli.session import perform, usage

RESTORE = Place("restore", "Put a backup into an empty state folder.", "backup")


class Backup(DeferredGroup):
    """`pilotage backup`; restoring works without a coordinator and imports what one is made of."""

    places = MappingProxyType({"restore": RESTORE})


app = typer.Typer(
    cls=Backup,
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    help="Back up the coordinator itself, and restore it.",
)


@app.command()
def create(
    context: typer.Context,
    recipient: Annotated[
        list[str] | None,
        typer.Option("--recipient", "-r", metavar="AGE1…", help="Encrypt to this age key (age-keygen makes one)."),
    ] = None,
    plain: Annotated[
        bool, typer.Option("--plain", help="Do not encrypt: whoever reads the file has every key and secret.")
    ] = False,
    logs: Annotated[bool, typer.Option("--logs", help="The logs of steps too; they can be large.")] = False,
    to: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Move it there, a new file on this machine.")
    ] = None,
) -> None:
    """Back up the coordinator while it runs: database, keys and, with --logs, the logs of steps.

    Keep it on another machine: who has lost the state folder has lost what lies in it.
    """
    if bool(recipient) == plain:
        raise usage("give --recipient AGE1… (as `age-keygen` shows it), or --plain for a file that must be guarded")
    if to is not None and to.exists():
        raise usage(f"--output {to} is there already; nothing is written over")

    async def work(client: PilotageClient, screen: Screen) -> None:
        made = await client.create_backup(recipients=recipient or [], plain=plain, logs=logs)
        if to is not None:
            try:
                made["file"] = str(shutil.move(made["file"], to))
            except OSError as error:
                raise ClientError(
                    f"the backup is made and stays in {made['file']} of the coordinator's machine: {error.strerror}",
                    "copy it from there",
                ) from error
        if plain:
            screen.say("warning: the file is not encrypted and holds every key of this coordinator: guard it", "yellow")
        if screen.json:
            screen.object(made)
            return
        screen.line(f"{made['file']} ({made['size']} bytes)")
        screen.line(f"audit log up to {made['audit_sequence']}:{made['audit_hash']}")
        screen.line(f"keys: secrets {made['store_key']}, audit {made['audit_key']}")

    perform(context, work)


@app.command()
def accept(
    context: typer.Context,
    key: Annotated[Path, typer.Option("--key", metavar="FILE", help="The owner's SSH key, such as ~/.ssh/id_ed25519.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Sign, as the owner, that the coordinator was restored, so that hosts which know your key go back with it.

    Only after you have restored it yourself: somebody who has stolen an old backup needs exactly this signature.
    """

    async def work(client: PilotageClient, screen: Screen) -> None:
        record = await client.show_recovery()
        if record["lost_up_to"]:
            lost = f"entries {record['resumes_after'] + 1} to {record['lost_up_to']} of the audit log"
        else:
            lost = "nothing that a host has told of so far"
        if not confirmed(screen, f"Restored {local(record['recorded_at'])}; lost: {lost}. Sign that?", yes=yes):
            return
        signature = _signed(base64.b64decode(record["statement"]), record["namespace"], key)
        signed = await client.sign_recovery(record["statement"], signature)
        if screen.json:
            screen.object(signed)
        else:
            screen.line("signed; hosts take it when they connect next, within a minute")

    perform(context, work)


def _signed(statement: bytes, namespace: str, key: Path) -> str:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "statement"
        file.write_bytes(statement)
        try:
            # Its questions (a passphrase, a touch) go to the terminal.
            subprocess.run(["ssh-keygen", "-Y", "sign", "-n", namespace, "-f", str(key), str(file)], check=True)
            return file.with_name("statement.sig").read_text(encoding="ascii")
        except (OSError, subprocess.CalledProcessError) as error:
            raise ClientError(
                f"ssh-keygen could not sign with {key}: {error}", "give the owner's private key"
            ) from error
