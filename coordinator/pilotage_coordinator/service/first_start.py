"""The first start: whoever runs the coordinator becomes its owner. No password is made, and nobody else can come in."""

import re
from collections.abc import Sequence

from pilotage_coordinator.domain.access.principal import RESERVED, PrincipalKind
from pilotage_coordinator.domain.access.public_key import PublicKey
from pilotage_coordinator.domain.access.role import OWNER
from pilotage_coordinator.store.errors import Refused
from pilotage_coordinator.store.protocol import Store
from pilotage_coordinator.store.records import AuditEntry, GrantRecord, PrincipalRecord

PRODUCT = "coordinator"


async def ensure_owner(store: Store, now: int, user: str, keys: Sequence[PublicKey]) -> PrincipalRecord:
    """Return the principal of the system user who runs the coordinator, made an owner if there is none yet.

    `keys` are the public keys that the user has at that moment; later ones are added by command. A principal that
    somebody else made under the user's name is left as it is, and the owner gets another name.
    """
    found = await store.access.local(user)
    if found is not None:
        return found
    base = _name(user)
    for name in (base, *(f"{base}-local{number or ''}" for number in range(100))):
        owner = PrincipalRecord(
            name=name,
            kind=PrincipalKind.PERSON,
            created_at=now,
            created_by=PRODUCT,
            description="Runs this coordinator.",
            local_user=user,
            keys=tuple(key.line for key in keys),
        )
        detail = {"kind": "person", "role": OWNER, "local_user": user, "keys": [key.fingerprint for key in keys]}
        audit = AuditEntry(now, PRODUCT, "principal.add", name, "allowed", detail)
        try:
            await store.access.add_principal(owner, (GrantRecord(name, OWNER, now, PRODUCT),), (audit,))
        except Refused:
            continue
        return owner
    raise Refused(f"no name is left for {user}, who runs the coordinator")


def _name(user: str) -> str:
    """Return a system user's name as a principal's."""
    name = re.sub(r"[^A-Za-z0-9._@-]+", "-", user)[:50].strip("._@-") or "owner"
    return f"{name}-local" if name.lower() in RESERVED else name
