"""`backup.init`: make the repository."""

from typing import Final

from pilotage_plugin_api import Action, Change, Effect, Preview, StepContext, StepFailed, StepOutputs

from pilotage_plugins.backup.errors import failure, is_damaged, no_repository
from pilotage_plugins.backup.local_init import folder_of, make_in_folder
from pilotage_plugins.backup.repository import RepositoryParams, masked
from pilotage_plugins.backup.restic import Restic, ResticStepType, open_repository

SETTLE_SECONDS: Final = 5.0
"""How long after making a repository it is looked at again: whoever has seen none before is done by then, usually."""


class BackupInitOutputs(StepOutputs):
    """Which repository it is now, by its own id."""

    repository_id: str


class BackupInit(ResticStepType[RepositoryParams, BackupInitOutputs]):
    """Make a restic repository unless it is there already.

    A repository that is there must open with the password, or the step fails. In a folder, any number of hosts may do
    this at the same moment; elsewhere restic does not guard against that, so let them do it one after the other. There
    is no undo: a rollback never destroys backups.
    """

    name = "backup.init"
    effect = Effect.IDEMPOTENT
    Params = RepositoryParams
    Outputs = BackupInitOutputs

    async def preview(self, ctx: StepContext, params: RepositoryParams) -> Preview:
        """Say whether it would be made."""
        async with open_repository(ctx, params, looking=True) as restic:
            there = await exists(restic)
        action = Action.NONE if there else Action.CREATE
        return Preview(changes=(Change(action=action, subject=masked(params.repository)),))

    async def run(self, ctx: StepContext, params: RepositoryParams) -> BackupInitOutputs:
        """Make it, unless somebody else did meanwhile, and see that it opens."""
        async with open_repository(ctx, params) as restic:
            if not await exists(restic):
                folder = await folder_of(ctx, params)
                if folder is not None:
                    await make_in_folder(ctx, params, folder)
                else:
                    await _make(restic)
            config = await restic.json("reading the repository's configuration", "cat", "config")
        return BackupInitOutputs(repository_id=str(config["id"]))


async def exists(restic: Restic) -> bool:
    """Return whether the repository is there; raises what else keeps it from being opened."""
    result = await restic.attempt("cat", "config", on_line=lambda _line: None)
    if result.exit_code and not no_repository(result):
        raise failure(result, "opening the repository", restic.params.repository)
    return result.exit_code == 0


async def _make(restic: Restic) -> None:
    """Make it at a storage that lets two do so at once, and see that nobody else has."""
    made = await restic.attempt("init")
    await restic.ctx.sleep(SETTLE_SECONDS)
    opened = await restic.attempt("key", "list", "--json", on_line=lambda _line: None)
    if is_damaged(opened) or (opened.exit_code == 0 and opened.stdout.count(b'"userName"') > 1):
        raise StepFailed(
            f"another host has made the repository {masked(restic.params.repository)} at the same moment: there are"
            " several keys, and only one of them opens it. Remove all of it at the storage while nothing is backed up"
            " there, and run backup.init on one host at a time"
        )
    if made.exit_code and opened.exit_code:
        raise failure(made, "making the repository", restic.params.repository)
