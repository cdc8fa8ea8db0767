"""`pilotage whoami`."""

import typer
from pilotage_client import PilotageClient

from pilotage_coordinator.cli.moments import local
from pilotage_coordinator.cli.render.access import grant_lines, permission_lines
from pilotage_coordinator.cli.screen import Screen
from pilotage_coordinator.cli.session import perform

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def whoami(context: typer.Context) -> None:
    """Show who you are to the coordinator, what you hold, and to what it is limited."""

    async def work(client: PilotageClient, screen: Screen) -> None:
        found = await client.whoami()
        if screen.json:
            screen.object(found)
            return
        screen.line(f"{found['principal']}  {found['kind']}", "bold")
        proof = f"the token {found['token']}" if found["token"] else "being its owner, on its machine"
        screen.folded(f"by {proof}, through {found['through']}", "dim")
        if found["token_expires_at"]:
            screen.folded(f"the token is good until {local(found['token_expires_at'])}", "dim")
        if found["sponsor"]:
            screen.folded(f"on behalf of {found['sponsor']}", "dim")
        for line in [*grant_lines(found["grants"]), *permission_lines(found["permissions"])]:
            screen.folded(line)
        if found["single_operator"]:
            screen.folded("There is one person here. With a second one, nobody approves what they asked for.")

    perform(context, work)
