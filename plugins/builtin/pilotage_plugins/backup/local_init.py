"""Making a repository in a folder, so that of several who do it at one moment exactly one does.

restic looks whether there is a configuration, then writes a key and a configuration; two at once leave two keys and
one configuration, which only one of the keys opens. So each makes a repository of its own in a folder inside the
folder, and then renames. A folder of keys takes the place of nothing or of an empty one only: whoever comes there
first has made the repository, on a network's file system, too. The folder that he made it in is called by his key, so
that anybody can put the configuration beside that key if he is killed before he has.
"""

import contextlib
import errno
import hashlib
import shutil
from pathlib import Path
from typing import Final

from pilotage_plugin_api import InfrastructureFailed, StepContext

from pilotage_plugins.backup.errors import failure
from pilotage_plugins.backup.repository import RepositoryParams
from pilotage_plugins.file.placement import sync_folder
from pilotage_plugins.snapshot.thread import finished_in_thread

_MADE: Final = ".pilotage-init-"
_DRAFT: Final = ".pilotage-draft-"
_EMPTY_FOLDERS: Final = ("data", "index", "snapshots", "locks")
_TAKEN: Final = (errno.ENOTEMPTY, errno.EEXIST)


async def folder_of(ctx: StepContext, params: RepositoryParams) -> Path | None:
    """Return the folder of this host that the repository is; None for a storage of another kind."""
    address = params.repository
    if params.address_secret:
        address = (await ctx.secret(params.address_secret)).decode("utf-8", "surrogateescape").strip()
    address = address.removeprefix("local:")
    return Path(address) if address.startswith("/") else None


async def make_in_folder(ctx: StepContext, params: RepositoryParams, folder: Path) -> None:
    """Make the repository in this folder, unless somebody else is quicker; either way it is whole then."""
    draft = folder / f"{_DRAFT}{hashlib.sha256(ctx.step_run.encode()).hexdigest()[:16]}"
    try:
        await finished_in_thread(lambda: _clear(draft))
        await _init(ctx, params, draft)
        await finished_in_thread(lambda: _settle(folder, draft))
    except OSError as error:
        raise InfrastructureFailed(f"the repository could not be made: {error.filename!r}: {error.strerror}") from error


async def _init(ctx: StepContext, params: RepositoryParams, draft: Path) -> None:
    """Let restic make a repository in the draft; its place is not told in an argument, as it may be a secret."""
    async with ctx.secret_file(params.password) as password:
        options = ["--no-cache", "--password-file", password.path, "--repo", draft.name]
        made = await ctx.program(
            ["restic", *options, "init"], cwd=draft.parent, pass_fds=[password.fd], on_stdout=lambda _line: None
        )
    if made.exit_code:
        raise failure(made, "making the repository", params.repository)


def _clear(draft: Path) -> None:
    draft.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(draft)


def _settle(folder: Path, draft: Path) -> None:
    """Put the draft into the folder if no other one is there, and finish whatever is there in part."""
    [key] = (draft / "keys").iterdir()
    own = folder / f"{_MADE}{key.name}"
    draft.rename(own)
    for name in _EMPTY_FOLDERS:
        _rename_to_nothing(own / name, folder / name)
    if not _rename_to_nothing(own / "keys", folder / "keys"):
        shutil.rmtree(own)
    for made in folder.glob(f"{_MADE}*"):
        if (folder / "keys" / made.name.removeprefix(_MADE)).exists():
            with contextlib.suppress(FileNotFoundError):  # another one was quicker
                (made / "config").rename(folder / "config")
            shutil.rmtree(made, ignore_errors=True)
    sync_folder(folder)


def _rename_to_nothing(source: Path, target: Path) -> bool:
    """Rename a folder unless something is in the way, an empty folder aside; says whether it was."""
    try:
        source.rename(target)
    except OSError as error:
        if error.errno in _TAKEN:
            return False
        raise
    return True
