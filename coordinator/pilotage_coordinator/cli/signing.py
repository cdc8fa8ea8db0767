"""Signing with a person's SSH key, by OpenSSH's own program: so keys in agents and on hardware work too."""

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pilotage_client.place import config_dir

from pilotage_coordinator.cli.exits import NotUnderstood

PROGRAM: Final = "ssh-keygen"
OWN_KEY: Final = "approval_key"
"""Name of the key that `up` makes for somebody who has none."""
LONGEST: Final = 300.0
"""Seconds that somebody has to touch a hardware key or to type a passphrase."""


async def own_key() -> str:
    """Return the public key, as one line, that is made for a person's approvals alone; made now if it is not there.

    It lies in the person's configuration folder, readable by nobody else. Raises NotUnderstood where it cannot be made.
    """
    private = config_dir() / OWN_KEY
    public = private.with_name(f"{OWN_KEY}.pub")
    if not private.exists():
        if shutil.which(PROGRAM) is None:
            raise NotUnderstood(f"{PROGRAM} is not installed", "install OpenSSH's client programs")
        try:
            private.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise NotUnderstood(f"{private.parent} cannot be made: {error.strerror}", "") from error
        # The program makes it with mode 0600. The folder is as private as the key: no passphrase can be asked for here.
        await _run("-q", "-t", "ed25519", "-N", "", "-C", "pilotage approvals", "-f", str(private))
    try:
        return public.read_text().strip()
    except OSError as error:
        raise NotUnderstood(
            f"{public} cannot be read: {error.strerror}", f"ssh-keygen -y -f {private} prints it"
        ) from error


async def signature(statement: str, namespace: str, registered: Sequence[str], key: Path | None) -> str:
    """Return the signature of a statement by a key of this person.

    `registered`: the public keys that the coordinator knows of them, one line each. Without `key`, the first of them
    that is found here or in the SSH agent signs. Raises NotUnderstood.
    """
    if shutil.which(PROGRAM) is None:
        raise NotUnderstood(f"{PROGRAM} is not installed: it signs your answer", "install OpenSSH's client programs")
    if key is not None:
        if not key.is_file():
            raise NotUnderstood(f"there is no key {key}", "give the file of your SSH key with --key")
        return await _signed(statement, namespace, key)
    if not registered:
        raise NotUnderstood(
            "no key is registered for you, so your answer would prove nothing",
            "an owner registers it on the coordinator's machine: pilotage principal keys NAME --add FILE.pub",
        )
    local = _found(registered)
    if local is not None:
        return await _signed(statement, namespace, local)
    with tempfile.TemporaryDirectory() as folder:
        # Of a key whose private part is no file here, the agent may have it: it is asked by the public part.
        for number, line in enumerate(registered):
            public = Path(folder) / f"{number}.pub"
            public.write_text(line + "\n")
            with contextlib.suppress(NotUnderstood):
                return await _signed(statement, namespace, public)
    raise NotUnderstood(
        "none of the keys that are registered for you is in ~/.ssh, in the configuration folder or in your SSH agent",
        "give its file with --key, or load it: ssh-add",
    )


def _found(registered: Sequence[str]) -> Path | None:
    """Return a private key here whose public part is registered."""
    wanted = {_plain(line) for line in registered}
    for folder in (config_dir(), Path.home() / ".ssh"):
        with contextlib.suppress(OSError):
            for public in sorted(folder.glob("*.pub")):
                private = public.with_suffix("")
                if private.is_file() and _plain(public.read_text(errors="replace")) in wanted:
                    return private
    return None


def _plain(line: str) -> str:
    return " ".join(line.split()[:2])


async def _signed(statement: str, namespace: str, key: Path) -> str:
    return await _run("-q", "-Y", "sign", "-n", namespace, "-f", str(key), given=statement)


async def _run(*arguments: str, given: str = "") -> str:
    process = await asyncio.create_subprocess_exec(
        PROGRAM,
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(LONGEST):
            out, errors = await process.communicate(given.encode())
    except TimeoutError:
        process.kill()
        await process.wait()
        raise NotUnderstood(f"nobody unlocked the key within {LONGEST:.0f} s", "try again") from None
    if process.returncode != 0:
        said = errors.decode(errors="replace").strip().splitlines()
        raise NotUnderstood(f"{PROGRAM} failed: {said[-1] if said else 'it did not say why'}", "")
    return out.decode()
