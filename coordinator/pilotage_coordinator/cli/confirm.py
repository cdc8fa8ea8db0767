"""Asking a person before something is done."""

import typer

from pilotage_coordinator.cli.exits import ExitCode
from pilotage_coordinator.cli.screen import Screen


def confirmed(screen: Screen, question: str, *, yes: bool) -> bool:
    """Return whether to go on. Where nobody can be asked, `--yes` is needed: exit code 2.

    `--yes` answers this question and nothing else: an approval that a rule asks for is still needed.
    """
    if yes:
        return True
    if not screen.interactive:
        screen.error("nobody can be asked here, so nothing was done")
        screen.hint("say --yes to go on without the question")
        raise typer.Exit(int(ExitCode.USAGE))
    if typer.confirm(question, err=True):
        return True
    screen.say("nothing was done")
    return False
