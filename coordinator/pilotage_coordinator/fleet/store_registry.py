"""The fleet's registry, kept in the store."""

from pilotage_coordinator.fleet.admission import Marks
from pilotage_coordinator.fleet.registry import Certificate, Host, NameTaken, Token, TokenSpent
from pilotage_coordinator.store import errors
from pilotage_coordinator.store.protocol import Store
from pilotage_coordinator.store.records import AuditEntry, CertificateRecord, HostRecord, SessionMarks


class StoreRegistry:
    """Implements Registry over a Store. Errors of the store itself (a full disk) pass through."""

    def __init__(self, store: Store, *, restored: bool = False) -> None:
        """Take an open store; `restored`: it may have forgotten certificates that hosts hold."""
        self._store = store
        self._restored = restored

    async def token(self, digest: str) -> Token | None:
        """Return the token, used or not, or None."""
        try:
            row = await self._store.enrolments.get(digest)
        except errors.NotFound:
            return None
        return Token(
            digest=row.token_hash,
            created_at=row.created_at,
            expires_at=row.expires_at,
            created_by=row.created_by,
            name=row.host_name,
            labels=row.labels,
            used_by=row.used_by,
        )

    async def enrol(self, token: Token, host: Host, certificate: Certificate, now: int) -> None:
        """Spend the token, insert the host and its first certificate: all or nothing."""
        record = HostRecord(
            id=host.id,
            name=host.name,
            joined_at=host.joined_at,
            key_digest=host.key_digest,
            sealing_key=host.sealing_key,
            agent_version=host.agent_version,
        )
        try:
            enrolled = await self._store.enrolments.consume(token.digest, record, _record(certificate), now)
        except errors.Refused as error:
            current = await self.token(token.digest)
            if current is None or current.used_by or current.expires_at <= now:
                raise TokenSpent(str(error)) from error
            raise NameTaken(str(error)) from error
        if enrolled.id != host.id:
            # The same agent asked twice at once. Its answer must be made for the host of the first request.
            raise TokenSpent(f"the token enrolled {enrolled.id} already")

    async def host(self, host_id: str) -> Host | None:
        """Return a host, revoked ones too, or None."""
        try:
            row = await self._store.hosts.get(host_id)
        except errors.NotFound:
            return None
        return Host(
            id=row.id,
            name=row.name,
            key_digest=row.key_digest,
            sealing_key=row.sealing_key,
            joined_at=row.joined_at,
            revoked=row.revoked_at is not None,
            quarantine=row.quarantine,
            marks=Marks(
                journal_id=row.marks.journal_id,
                journal_sequence=row.marks.journal_sequence,
                session_counter=row.marks.session_counter,
                highest_epoch=row.marks.highest_epoch,
            ),
            agent_version=row.agent_version,
        )

    async def denied(self, serial: str) -> bool:
        """Return whether this certificate is on the deny list, or was never issued."""
        try:
            return (await self._store.certificates.get(serial)).revoked_at is not None
        except errors.NotFound:
            return True

    async def adopt(self, certificate: Certificate) -> bool:
        """Take a certificate that a restored store has forgotten."""
        if not self._restored:
            return False
        try:
            await self._store.certificates.get(certificate.serial)
        except errors.NotFound:
            try:
                await self._store.certificates.add(_record(certificate))
            except errors.Refused:
                return False
            return True
        return False

    async def deny_list(self, now: int) -> frozenset[str]:
        """Return the serials that are denied and have not ended."""
        return await self._store.certificates.denied(now)

    async def add_certificate(self, certificate: Certificate) -> None:
        """Record a certificate for a known host."""
        await self._store.certificates.add(_record(certificate))

    async def remember(self, host_id: str, marks: Marks, agent_version: str, boot_id: str, now: int) -> bool:
        """Keep the marks of an admitted greeting; False if the host's standing changed meanwhile."""
        record = SessionMarks(
            journal_id=marks.journal_id,
            journal_sequence=marks.journal_sequence,
            session_counter=marks.session_counter,
            highest_epoch=marks.highest_epoch,
        )
        try:
            await self._store.hosts.open_session(host_id, record, agent_version=agent_version, boot_id=boot_id, at=now)
        except (errors.Conflict, errors.Refused, errors.NotFound):
            return False
        return True

    async def quarantine(self, host_id: str, reason: str, now: int) -> None:
        """Put a host into quarantine; the first reason stays."""
        host = await self.host(host_id)
        if host is not None and not host.quarantine:
            entry = AuditEntry(now, "coordinator", "host.quarantine", host.name, "allowed", {"reason": reason})
            await self._store.hosts.quarantine(host_id, reason, (entry,))


def _record(certificate: Certificate) -> CertificateRecord:
    return CertificateRecord(
        serial=certificate.serial,
        host=certificate.host_id,
        not_before=certificate.issued_at,
        not_after=certificate.expires_at,
    )
