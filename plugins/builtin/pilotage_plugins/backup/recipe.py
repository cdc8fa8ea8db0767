"""How a snapshot is restored without Pilotage: a line for people, which holds no secret."""

import shlex

from pilotage_plugins.backup.repository import RepositoryParams, masked
from pilotage_plugins.backup.server import Database, Engine

TARGET = "FOLDER"


def restore_files(params: RepositoryParams, snapshot_id: str) -> str:
    """Return the command that restores a snapshot of files below a folder."""
    return f"{_restic(params)} restore {snapshot_id} --target {TARGET}{_legend(params, TARGET)}"


def restore_database(params: RepositoryParams, snapshot_id: str, database: Database, path: str) -> str:
    """Return the command that restores a database: a file, or a dump that its server's own program loads."""
    if database.engine is Engine.SQLITE:
        return restore_files(params, snapshot_id)
    load = "pg_restore --create --dbname=postgres --exit-on-error"
    if database.engine is not Engine.POSTGRESQL:
        client = database.engine.value if database.container else "mariadb"
        load = f"{client} -- {shlex.quote(database.name)}"
    if database.container:
        load = f"docker exec --interactive {database.container} {load}"
    return f"{_restic(params)} dump {snapshot_id} {shlex.quote(path)} | {load}{_legend(params)}"


def _restic(params: RepositoryParams) -> str:
    where = "--repository-file ADDRESS" if params.address_secret else f"--repo {shlex.quote(masked(params.repository))}"
    return f"restic {where} --password-file PASSWORD"


def _legend(params: RepositoryParams, *folders: str) -> str:
    """Say what the words in capitals stand for; secrets by their names alone."""
    told = [f"PASSWORD is a file with the secret {params.password.name}"]
    if params.address_secret:
        told.append(f"ADDRESS one with the secret {params.address_secret.name}")
    secrets = params.backend_secrets
    told += [f"{variable} in the environment is the secret {secrets[variable].name}" for variable in sorted(secrets)]
    told += [f"{variable} is {shlex.quote(value)}" for variable, value in sorted(params.backend.items())]
    told += [f"{folder} is any empty folder" for folder in folders]
    return f"  # {', '.join(told)}"
