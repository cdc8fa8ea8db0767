"""Between records of the fleet and rows of its tables."""

import sqlite3
from collections.abc import Callable, Mapping

from pilotage_coordinator.domain.fleet import HostInventory
from pilotage_coordinator.domain.proof import Proof, ProofKind
from pilotage_coordinator.store.records import CertificateRecord, EnrolmentRecord, HostRecord, SessionMarks
from pilotage_coordinator.store.sqlite.access import Row
from pilotage_coordinator.store.sqlite.codec import read_json, write_json
from pilotage_coordinator.store.sqlite.queries import Queries
from pilotage_coordinator.store.sqlite.step_type_sets import StepTypes, StepTypeSets


def host_row(host: HostRecord) -> Row:
    """Return the parameters of `host_insert`."""
    return (
        host.id,
        host.name,
        host.joined_at,
        host.key_digest,
        host.sealing_key,
        write_json(host.labels),
        write_json(host.variables),
        host.agent_version,
        host.boot_id,
        host.marks.journal_id,
        host.marks.journal_sequence,
        host.marks.session_counter,
        host.marks.highest_epoch,
        host.certificate_serial,
        host.last_seen,
        host.revoked_at,
        host.quarantine,
    )


def host_record(row: Row, step_types: Callable[[str], StepTypes]) -> HostRecord:
    """Read a row with the columns of `host_by_id`; `step_types` finds a set by its digest."""
    return HostRecord(
        id=row[0],
        name=row[1],
        joined_at=row[2],
        key_digest=row[3],
        sealing_key=row[4],
        labels=read_json(row[5]),
        variables=read_json(row[6]),
        agent_version=row[7],
        boot_id=row[8],
        marks=SessionMarks(*row[9:13]),
        certificate_serial=row[13],
        last_seen=row[14],
        revoked_at=row[15],
        quarantine=row[16],
        facts={} if row[17] is None else read_json(row[17]),
        step_types=() if row[18] is None else step_types(row[18]),
        quarantined_plugins=() if row[19] is None else tuple(read_json(row[19])),
    )


def read_hosts(
    connection: sqlite3.Connection,
    queries: Queries,
    sets: StepTypeSets,
    query: str,
    parameters: tuple[object, ...] | Mapping[str, object],
) -> tuple[HostRecord, ...]:
    """Read hosts by a named query; hosts with the same step types share one value."""

    def step_types(digest: str) -> StepTypes:
        return sets.read(connection, queries, digest)

    return tuple(host_record(row, step_types) for row in connection.execute(queries[query], parameters).fetchall())


def put_inventory(
    connection: sqlite3.Connection, queries: Queries, sets: StepTypeSets, host: str, inventory: HostInventory, at: int
) -> None:
    """Keep an inventory that was told `at`, within a transaction."""
    digest = sets.keep(connection, queries, inventory.step_types)
    row = (host, write_json(inventory.facts), digest, write_json(inventory.quarantined), at)
    connection.execute(queries["inventory_put"], row)


def proof_row(host: str, proof: Proof) -> dict[str, object]:
    """Return the parameters of `proof_put` for the host of this name."""
    return {
        "host": host,
        "kind": proof.kind,
        "passed": proof.passed,
        "at": proof.at,
        "execution": proof.execution,
        "path": proof.path,
        "item": proof.item,
        "detail": write_json(proof.detail),
    }


def read_proofs(connection: sqlite3.Connection, queries: Queries, host: str) -> tuple[Proof, ...]:
    """Read what was proved of a host."""
    return tuple(
        Proof(ProofKind(kind), bool(passed), at, execution, path, item, read_json(detail))
        for kind, passed, at, execution, path, item, detail in connection.execute(queries["proofs_of_host"], (host,))
    )


def enrolment_record(row: Row) -> EnrolmentRecord:
    """Read a row with the columns of `enrolment_by_hash`."""
    return EnrolmentRecord(
        token_hash=row[0],
        created_at=row[1],
        created_by=row[2],
        expires_at=row[3],
        host_name=row[4],
        labels=read_json(row[5]),
        used_at=row[6],
        used_by=row[7] or "",
    )


def certificate_row(certificate: CertificateRecord) -> Row:
    """Return the parameters of `certificate_insert`."""
    return (
        certificate.serial,
        certificate.host,
        certificate.not_before,
        certificate.not_after,
        certificate.revoked_at,
    )
