"""What hosts have seen of the audit log, compared with the log: who holds the files of a coordinator cannot put it
back, or rewrite it, without the hosts noticing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pilotage_proto.recovery import Recovery, read_recovery

from pilotage_coordinator.audit.entry import AuditEntry, AuditHead
from pilotage_coordinator.audit.head import HeadSigner, SignedHead
from pilotage_coordinator.domain.fleet import SeenHead
from pilotage_coordinator.domain.plan import Json
from pilotage_coordinator.runtime.clock import Clock
from pilotage_coordinator.store.protocol import AuditStore
from pilotage_coordinator.store.records import RecoveryRecord
from pilotage_coordinator.structured import structlog

log = structlog.get_logger("pilotage.audit")


@dataclass(slots=True)
class Witnesses:
    """Hears what hosts tell in their greetings. `load` it first."""

    store: AuditStore
    key: HeadSigner
    coordinator_id: str
    clock: Clock
    recoveries: Sequence[RecoveryRecord] = ()
    """Every time that this coordinator was restored, oldest first, as agents are told."""
    seen: dict[str, SignedHead] = field(default_factory=dict)
    """Host to the newest head that it told of and that lies on the log."""
    strange: dict[str, SignedHead] = field(default_factory=dict)
    """Host to a head that it told of, which our key signed and which is not on the log."""

    async def load(self) -> None:
        """Read what was recorded of earlier restores; raises StoreError."""
        self.recoveries = await self.store.recoveries()

    @property
    def newest(self) -> SignedHead | None:
        """The signed head of the newest commit: what agents are shown."""
        return self.store.sealed

    async def heard(self, host: str, told: SeenHead | None) -> str:
        """Compare what a host has seen with the log. Returns why the host must not be served; empty: nothing is wrong.

        A head that our key did not sign says nothing about our log, and is only written into the coordinator's log.
        Raises StoreError.
        """
        if told is None:
            return ""
        head = SignedHead(told.log, told.sequence, told.hash, told.key, told.signature)
        if (
            head.log != self.coordinator_id
            or head.key != self.key.public
            or not self.key.verify(head.statement, head.signature)
        ):
            log.warning("witness.not_ours", host=host, log=head.log, entry=head.sequence)
            return ""
        place = await self.store.at(head.sequence)
        if place == head.head:
            self.seen[host] = head
            self.strange.pop(host, None)
            return ""
        self.strange[host] = head
        restore = self._restore_before(head)
        if restore is None:
            log.error("witness.contradicts", host=host, entry=head.sequence)
            how = "does not reach it" if place is None else "has another one there"
            return (
                f"{host} has seen entry {head.sequence} of this coordinator's audit log, and the log {how}: "
                "it was restored from an old copy, cut or rewritten. If it was restored, start it once with: pilotage "
                "coordinator serve --after-restore"
            )
        if head.sequence > restore.lost:
            # Nobody had seen so much when the coordinator was restored.
            await self.record(AuditHead(restore.resumes, restore.resumes_hash))
        return ""

    async def record(self, resumes: AuditHead) -> None:
        """Record, unsigned, that the log was restored and goes on after `resumes`, whatever hosts have seen above it.

        To be called once after a restore, before an agent is shown anything new. Raises StoreError.
        """
        lost = max((each.head for each in self.strange.values()), key=lambda head: head.sequence, default=resumes)
        recovery = Recovery(
            self.coordinator_id, resumes.sequence, resumes.hash, lost.sequence, lost.hash, self.clock.now()
        )
        by = {"principal_kind": "coordinator"}
        await self.keep(RecoveryRecord(recovery.statement), "coordinator.recovery", "coordinator", by)

    def _restore_before(self, head: SignedHead) -> Recovery | None:
        """Return the newest restore by which a head can have been lost."""
        for each in reversed(self.recoveries):
            recovery = read_recovery(each.statement)
            if head.sequence > recovery.resumes:
                return recovery
        return None

    async def sign(self, statement: bytes, signature: str, principal: str, detail: Mapping[str, Json]) -> None:
        """Store an owner's signature of a record that is kept here; raises StoreError."""
        await self.keep(RecoveryRecord(statement, signature), "recovery.sign", principal, detail)

    async def keep(self, record: RecoveryRecord, operation: str, principal: str, detail: Mapping[str, Json]) -> None:
        """Store a record, and tell agents of it from now on; raises StoreError."""
        recovery = read_recovery(record.statement)
        said: dict[str, Json] = {
            **detail,
            "resumes": recovery.resumes,
            "lost": recovery.lost,
            "lost_hash": recovery.lost_hash,
            "signed": bool(record.signature),
        }
        entry = AuditEntry(self.clock.now(), principal, operation, self.coordinator_id, "allowed", said)
        await self.store.recover(record, self.clock.now(), (entry,))
        await self.load()
