"""`backup.init`: make the repository."""

from pilotage_plugin_api import Action, Change, Effect, Preview, StepContext, StepOutputs

from pilotage_plugins.backup.errors import failure, no_repository
from pilotage_plugins.backup.repository import RepositoryParams, masked
from pilotage_plugins.backup.restic import Restic, ResticStepType, open_repository


class BackupInitOutputs(StepOutputs):
    """Which repository it is now, by its own id."""

    repository_id: str


class BackupInit(ResticStepType[RepositoryParams, BackupInitOutputs]):
    """Make a restic repository unless it is there already.

    A repository that is there must open with the password, or the step fails. There is no undo: a rollback never
    destroys backups.
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
        """Make it, unless somebody else did meanwhile. restic does not guard against two that make it at one moment."""
        async with open_repository(ctx, params) as restic:
            if not await exists(restic):
                made = await restic.attempt("init")
                if made.exit_code and b"already" not in made.stderr:
                    raise failure(made, "making the repository", params.repository)
            config = await restic.json("reading the repository's configuration", "cat", "config")
        return BackupInitOutputs(repository_id=str(config["id"]))


async def exists(restic: Restic) -> bool:
    """Return whether the repository is there; raises what else keeps it from being opened."""
    result = await restic.attempt("cat", "config", on_line=lambda _line: None)
    if result.exit_code and not no_repository(result):
        raise failure(result, "opening the repository", restic.params.repository)
    return result.exit_code == 0
