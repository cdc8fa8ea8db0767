"""The named secrets: encrypted before they reach the store, decrypted only to be sealed to one agent."""

from collections.abc import Mapping, Sequence

from pilotage_coordinator.domain.errors import DomainError
from pilotage_coordinator.domain.plan import Json
from pilotage_coordinator.runtime.clock import Clock
from pilotage_coordinator.security.secrets import StoreCipher
from pilotage_coordinator.store.errors import NotFound
from pilotage_coordinator.store.protocol import SecretStore
from pilotage_coordinator.store.records import AuditEntry, SecretRecord

SCHEME = "secret://"
TABLE = "secrets"
FIELD = "ciphertext"
LARGEST_SECRET = 64 * 1024
RESERVED = "execution/"
"""How the names of secrets begin that belong to one execution."""


class SecretRefused(DomainError):
    """A secret that does not exist, has no legal name, or is too large."""


class SecretVault:
    """Keeps secrets. A value leaves it only through `reveal`: towards one attempt on one host, or to a channel."""

    def __init__(self, store: SecretStore, cipher: StoreCipher, clock: Clock) -> None:
        """Take the store of ciphertexts and the cipher that made them."""
        self._store = store
        self._cipher = cipher
        self._clock = clock

    async def set(self, name: str, value: bytes, *, updated_by: str, audit: tuple[AuditEntry, ...] = ()) -> bool:
        """Store or replace a secret; returns whether it is new."""
        check_name(name)
        return await self._store.put(self.encrypted(name, value, updated_by=updated_by), audit)

    def encrypted(self, name: str, value: bytes, *, updated_by: str) -> SecretRecord:
        """Return the row of a secret under any name, also one that only the coordinator may use, not stored yet."""
        if not value:
            raise SecretRefused(f"secret {name}: the value is empty; nothing was stored")
        if len(value) > LARGEST_SECRET:
            raise SecretRefused(f"secret {name}: {len(value)} bytes; a secret may have at most {LARGEST_SECRET}")
        ciphertext = self._cipher.encrypt(value, TABLE, name, FIELD)
        return SecretRecord(name, ciphertext, self._clock.now(), updated_by)

    async def exists(self, name: str) -> bool:
        """Return whether there is a secret of this name."""
        try:
            await self._store.get(name)
        except NotFound:
            return False
        return True

    async def reveal(self, name: str) -> bytes:
        """Return a value, for sealing or for a channel; raises SecretRefused when there is no such secret."""
        try:
            record = await self._store.get(name)
        except NotFound as error:
            raise SecretRefused(f"there is no secret {name!r}; store it with: pilotage secret set {name}") from error
        return self._cipher.decrypt(record.ciphertext, TABLE, name, FIELD)


def check_name(name: str) -> None:
    """Raise SecretRefused unless `name` is parts of letters, digits and `._-`, joined by slashes."""
    legal = all(part and part.strip(".") and all(c.isalnum() or c in "._-" for c in part) for part in name.split("/"))
    if name.startswith(RESERVED):
        raise SecretRefused(f"{name!r}: names that begin with {RESERVED} belong to the coordinator; choose another")
    if not legal or not name.isascii() or len(name) > 200:
        raise SecretRefused(
            f"{name!r} is no name for a secret; use letters, digits and ._- in parts joined by /, like restic/db1"
        )


def secret_names(parameters: Mapping[str, Json]) -> frozenset[str]:
    """Return the names of all secrets that a tree of parameters refers to."""
    found: set[str] = set()
    _collect(parameters, found)
    return frozenset(found)


def _collect(value: Json, found: set[str]) -> None:
    if isinstance(value, str):
        if value.startswith(SCHEME):
            found.add(value.removeprefix(SCHEME))
    elif isinstance(value, Mapping):
        for inner in value.values():
            _collect(inner, found)
    elif isinstance(value, Sequence):
        for inner in value:
            _collect(inner, found)
