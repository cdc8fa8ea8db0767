"""Which person's key a signature proves: what no token, role or face is enough for."""

from pilotage_proto.sshsig import KeyRefused, SignatureRefused, read_key, signer, verify

from pilotage_coordinator.domain.access.principal import PrincipalKind
from pilotage_coordinator.service.errors import Denied
from pilotage_coordinator.service.services import Services
from pilotage_coordinator.store.records import PrincipalRecord


async def person(services: Services, name: str) -> PrincipalRecord:
    """Return an enabled person; raises Denied."""
    found = await services.store.access.principal(name)
    if found.disabled_at is not None or found.kind != PrincipalKind.PERSON.value:
        raise Denied(f"{name} is disabled", fix="an owner enables it: pilotage principal enable")
    return found


def proved(principal: PrincipalRecord, proof: str, statement: bytes, namespace: str, *, about: str, how: str) -> str:
    """Return the key, as `TYPE BASE64`, that proves that the person said this; raises Denied.

    `about`: what it is a proof for; `how`: what to do to have one.
    """
    if not proof:
        raise Denied(f"{about} needs a proof that a person decides, and there is none", fix=how)
    try:
        blob = signer(proof)
        for line in principal.keys:
            try:
                key = read_key(line)
            except KeyRefused:
                continue
            if key.blob == blob:
                verify(proof, statement, namespace, key)
                return key.line
    except SignatureRefused as error:
        raise Denied(f"the proof for {about} proves nothing: {error}", fix=how) from error
    raise Denied(
        f"the proof for {about} is signed by a key that is not registered for {principal.name}",
        fix=f"an owner registers it: pilotage principal keys {principal.name} --add FILE.pub",
    )
