"""Whether a host that makes backups could also delete them: then whoever takes it over can, too."""

from pilotage_plugins.backup.repository import RepositoryParams

_MOUNTED = (
    "is a folder of this host: whoever takes the host over can delete its backups with it. Keep a second repository"
    " elsewhere, or back up to a rest-server with --append-only"
)
_SFTP = (
    "is reached by sftp, which cannot forbid deleting: whoever takes this host over can delete its backups. Use a"
    " rest-server with --append-only, or snapshots on the other side"
)
_REST = (
    "may let this host delete its backups: only a rest-server that runs with --append-only refuses. When yours does,"
    " write protected: true, and prune from elsewhere with a credential of its own"
)
_CLOUD = (
    "may let this host delete its backups, unless its credentials cannot delete or the bucket locks its objects."
    " When that is so, write protected: true, and prune from elsewhere with a credential of its own"
)


def deletion_warning(params: RepositoryParams, protected: bool) -> str | None:
    """Say how this host could delete its own backups; None when the author vouches that it cannot.

    A folder and sftp are never protected, whatever the author says: neither can be.
    """
    if params.is_local:
        return f"the repository {_MOUNTED}"
    if params.repository.startswith("sftp:"):
        return f"the repository {_SFTP}"
    if protected:
        return None
    return f"the repository {_REST if params.repository.startswith('rest:') else _CLOUD}"
