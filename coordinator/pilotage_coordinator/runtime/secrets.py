"""The named secrets: encrypted before they reach the store, decrypted only to be sealed to one agent.

Whoever asks for a value says for which step: the grants of the secret must cover it. Sensitive parameters are secrets
of their execution, and go to its own steps only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pilotage_coordinator.domain.errors import DomainError
from pilotage_coordinator.domain.inventory import Host
from pilotage_coordinator.domain.plan import BlueprintRef, Json
from pilotage_coordinator.domain.secret_grant import SecretGrant, SecretUser, advice, covered
from pilotage_coordinator.runtime.clock import Clock
from pilotage_coordinator.security.errors import DecryptionError
from pilotage_coordinator.security.secrets import StoreCipher
from pilotage_coordinator.store.errors import NotFound
from pilotage_coordinator.store.protocol import BlueprintStore, SecretStore
from pilotage_coordinator.store.records import AuditEntry, SecretRecord

SCHEME = "secret://"
TABLE = "secrets"
FIELD = "ciphertext"
LARGEST_SECRET = 64 * 1024
RESERVED = "execution/"
"""How the names of secrets begin that belong to one execution."""


class SecretRefused(DomainError):
    """A secret that does not exist, has no legal name, or is too large."""


@dataclass(frozen=True, slots=True)
class SecretUse:
    """For which step a value is asked."""

    blueprint: BlueprintRef
    category: str
    step_type: str
    host: Host | None = None
    """None: it stays on the coordinator."""
    execution: str = ""
    """Empty while there is only a plan."""


@dataclass(slots=True)
class SecretVault:
    """Keeps secrets. A value leaves it through `reveal` only: towards one step on one host."""

    store: SecretStore
    blueprints: BlueprintStore
    cipher: StoreCipher
    clock: Clock
    _stored: set[BlueprintRef] = field(default_factory=set)
    """Blueprints of which it is known that they are stored: that never changes."""

    async def set(
        self,
        name: str,
        value: bytes,
        *,
        updated_by: str,
        grants: tuple[SecretGrant, ...] = (),
        audit: tuple[AuditEntry, ...] = (),
    ) -> bool:
        """Store or replace a secret; returns whether it is new. Without grants it keeps those that it has."""
        check_name(name)
        return await self.store.put(self.encrypted(name, value, updated_by=updated_by, grants=grants), audit)

    def encrypted(
        self, name: str, value: bytes, *, updated_by: str, grants: tuple[SecretGrant, ...] = ()
    ) -> SecretRecord:
        """Return the row of a secret under any name, also one that only the coordinator may use, not stored yet."""
        if not value:
            raise SecretRefused(f"secret {name}: the value is empty; nothing was stored")
        if len(value) > LARGEST_SECRET:
            raise SecretRefused(f"secret {name}: {len(value)} bytes; a secret may have at most {LARGEST_SECRET}")
        ciphertext = self.cipher.encrypt(value, TABLE, name, FIELD)
        return SecretRecord(name, ciphertext, self.clock.now(), updated_by, grants)

    async def grants(self, name: str) -> tuple[SecretGrant, ...] | None:
        """Return who may be given a secret; None when there is none of this name."""
        try:
            return (await self.store.get(name)).grants
        except NotFound:
            return None

    async def reveal(self, name: str, use: SecretUse) -> bytes:
        """Return a value, for sealing; raises SecretRefused when there is no such secret, or no grant for this use."""
        record = await self._record(name)
        if name.startswith(RESERVED):
            if not use.execution or not name.startswith(f"{RESERVED}{use.execution}/"):
                raise SecretRefused(f"secret {name} belongs to another execution")
        else:
            user = await self.user(use)
            if not covered(record.grants, user):
                raise SecretRefused(f"secret {name} is not granted to {user}; to grant it: {advice(name, user)}")
        return self._decrypted(record)

    async def values(self, name: str) -> tuple[bytes, ...]:
        """Return the value of a secret and its earlier ones, also of one that was removed: to find them in what agents
        say. A step that runs was given the one that counted when it was sent."""
        found = [await self.value(name)] if await self.grants(name) is not None else []
        for ciphertext in await self.store.earlier(name):
            found.append(self.cipher.decrypt(ciphertext, TABLE, name, FIELD))
        return tuple(found)

    async def value(self, name: str) -> bytes:
        """Return a value for the coordinator's own use, such as its settings.

        Raises SecretRefused when there is no such secret.
        """
        return self._decrypted(await self._record(name))

    async def everything(self) -> Mapping[str, bytes]:
        """Return every value by name, for an export that hides them; not those that belong to one execution.

        Raises SecretRefused for one that this key does not open.
        """
        records = [each for each in await self.store.list() if not each.name.startswith(RESERVED)]
        try:
            return {each.name: self._decrypted(each) for each in records}
        except DecryptionError as error:
            raise SecretRefused(f"{error}; give the coordinator its key again, or store the secret anew") from error

    async def user(self, use: SecretUse) -> SecretUser:
        """Return who asks, as grants see it: what a blueprint that is not stored says of itself does not count."""
        if not await self._is_stored(use.blueprint):
            return SecretUser(use.step_type, None, None, use.host)
        return SecretUser(use.step_type, use.blueprint.id, use.category or None, use.host)

    async def _is_stored(self, ref: BlueprintRef) -> bool:
        if ref not in self._stored:
            try:
                record = await self.blueprints.get(ref.id, ref.version)
            except NotFound:
                return False
            if record.digest != ref.digest:
                return False
            self._stored.add(ref)
        return True

    async def _record(self, name: str) -> SecretRecord:
        try:
            return await self.store.get(name)
        except NotFound as error:
            raise SecretRefused(f"there is no secret {name!r}; store it with: pilotage secret set {name}") from error

    def _decrypted(self, record: SecretRecord) -> bytes:
        return self.cipher.decrypt(record.ciphertext, TABLE, record.name, FIELD)


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
