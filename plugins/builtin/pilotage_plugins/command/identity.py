"""Running a program as another user of the host."""

import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from pilotage_plugin_api import TargetFailed


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a program runs as. `prefix` goes before its argument list and changes over; empty for ourselves."""

    prefix: tuple[str, ...]
    env: dict[str, str]
    uid: int
    gid: int
    home: Path | None

    @property
    def other(self) -> bool:
        """Whether it is somebody else than this process."""
        return bool(self.prefix)


def identity_of(user: str | None) -> Identity:
    """Return the identity of a user, by name, or our own for None; raises TargetFailed when the host cannot do it.

    The groups are those that the user gets at a login. Blocking: it asks the host's user database.
    """
    own = os.geteuid()
    try:
        entry = pwd.getpwuid(own) if user is None else pwd.getpwnam(user)
    except KeyError:
        if user is None:
            return Identity((), {}, own, os.getegid(), None)
        raise TargetFailed(f"there is no user {user!r} on this host") from None
    home = Path(entry.pw_dir)
    env = {"HOME": entry.pw_dir}
    if user is None or entry.pw_uid == own:
        return Identity((), env, own, os.getegid(), home)
    if own != 0:
        raise TargetFailed(f"only root can run a program as {user!r}, and the agent runs as {_name_of(own)}")
    groups = ",".join(map(str, os.getgrouplist(entry.pw_name, entry.pw_gid)))
    prefix = ("setpriv", f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", f"--groups={groups}", "--")
    return Identity(prefix, env | {"USER": entry.pw_name, "LOGNAME": entry.pw_name}, entry.pw_uid, entry.pw_gid, home)


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
