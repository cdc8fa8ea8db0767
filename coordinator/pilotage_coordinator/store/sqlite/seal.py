"""The signature under the audit log: made once for each transaction that moved the log's end, and within it."""

import sqlite3

from pilotage_coordinator.audit.chain import against_signed
from pilotage_coordinator.audit.entry import AuditHead
from pilotage_coordinator.audit.head import HeadSigner, SignedHead, signed
from pilotage_coordinator.store.errors import AuditBroken
from pilotage_coordinator.store.sqlite.queries import Queries
from pilotage_coordinator.store.sqlite.transaction import commit


class AuditSeal:
    """Signs in the thread that writes; `newest` may be read from any."""

    def __init__(self, signer: HeadSigner, queries: Queries) -> None:
        """Sign with this key."""
        self._signer = signer
        self._queries = queries
        self._log = ""
        self.newest: SignedHead | None = None
        """The signed head of the newest commit: never ahead of what is durable."""

    def check(self, connection: sqlite3.Connection) -> str:
        """Return what is wrong between the log and its signed head before anything new is signed; empty: nothing.

        Signing on top of a log that somebody cut would hide the cut.
        """
        head, stored = read_head(connection, self._queries), read_signed(connection, self._queries)
        if stored is None:
            if self._signer.fresh or head.sequence == 0:
                return ""
            return f"the audit log has {head.sequence} entries and no signed head, although its key was made before"
        if stored.key != self._signer.public:
            held = "was made anew, as there was none" if self._signer.fresh else "is another one"
            return f"the audit log's signed head was made with key {stored.key.hex()[:16]}; audit.key {held}"
        if not self._signer.verify(stored.statement, stored.signature):
            return f"the signed head of the audit log (entry {stored.sequence}) carries no signature of audit.key"
        return against_signed(head, stored)

    def begin(self, connection: sqlite3.Connection) -> None:
        """Sign the log as it is; called once, before the first transaction. Raises AuditBroken."""
        if fault := self.check(connection):
            raise AuditBroken(
                f"{fault}. Restore a backup (database and audit.key together), or, to go on with this log and have the "
                "fault recorded in it, start once with: pilotage coordinator serve --accept-audit-fault REASON"
            )
        connection.execute("BEGIN IMMEDIATE")
        self.commit(connection)

    def commit(self, connection: sqlite3.Connection) -> None:
        """End a transaction durably, with the log's end signed in it."""
        pending = self._sign(connection)
        commit(connection)
        self.newest = pending

    def _sign(self, connection: sqlite3.Connection) -> SignedHead:
        head = read_head(connection, self._queries)
        if self.newest is not None and self.newest.head == head:
            return self.newest
        self._log = self._log or str(connection.execute(self._queries["coordinator_id"]).fetchone()[0])
        new = signed(self._log, head, self._signer)
        connection.execute(self._queries["audit_sign"], (new.log, new.sequence, new.hash, new.key, new.signature))
        return new


def read_head(connection: sqlite3.Connection, queries: Queries) -> AuditHead:
    """Return the end of the chain."""
    row = connection.execute(queries["audit_head"]).fetchone()
    return AuditHead(*row) if row is not None else AuditHead()


def read_signed(connection: sqlite3.Connection, queries: Queries) -> SignedHead | None:
    """Return the signed head as it is stored."""
    row = connection.execute(queries["audit_signed"]).fetchone()
    if row is None:
        return None
    log, sequence, hash_, key, signature = row
    return SignedHead(log.decode(errors="replace"), sequence, hash_.decode(errors="replace"), key, signature)
