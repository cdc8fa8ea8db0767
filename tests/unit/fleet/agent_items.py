"""What agents say, as wire items, for tests."""

from collections.abc import Mapping

from pilotage_coordinator.domain.fleet import Assignment
from pilotage_coordinator.domain.plan import Effect, Json
from pilotage_proto.attempt import AttemptKey, AttemptKind
from pilotage_proto.canonical import digest
from pilotage_proto.v1 import fleet_pb2 as pb


def key(number: int = 1, host: str = "db1", attempt: int = 1) -> AttemptKey:
    return AttemptKey(f"exe_{number}", "backup", host, "", AttemptKind.RUN, attempt)


def wire_key(of: AttemptKey) -> pb.AttemptKey:
    return pb.AttemptKey(
        execution=of.execution,
        path=of.path,
        host=of.host,
        item=of.item,
        kind=pb.ATTEMPT_KIND_RUN if of.kind is AttemptKind.RUN else pb.ATTEMPT_KIND_UNDO,
        attempt=of.attempt,
    )


def assignment(of: AttemptKey, parameters: Mapping[str, Json] | None = None) -> Assignment:
    return Assignment(
        key=of,
        epoch=7,
        plan_digest="sha256:" + "0" * 64,
        step_type="command.run",
        effect=Effect.ONCE,
        parameters={"argv": ["true"]} if parameters is None else parameters,
        timeout=1_500_000,
    )


def hello(
    *,
    instance: str = "ins_1",
    journal: str = "jrn_1",
    sequence: int = 0,
    counter: int = 1,
    highest_epoch: int = 0,
    slots: int = 4,
    protocol: tuple[int, int] = (1, 1),
) -> pb.AgentItem:
    return pb.AgentItem(
        hello=pb.Hello(
            protocol_min=protocol[0],
            protocol_max=protocol[1],
            agent_version="0.1.0",
            instance_id=instance,
            journal_id=journal,
            journal_sequence=sequence,
            session_counter=counter,
            highest_epoch=highest_epoch,
            boot_id="boot",
            clock=1,
            slots=slots,
            inventory=pb.Inventory(facts=b'{"os":"linux"}', step_types=b'[{"name":"command.run"}]'),
        )
    )


def journal(*entries: pb.JournalEntry, complete: bool = True) -> pb.AgentItem:
    return pb.AgentItem(journal=pb.JournalPage(entries=entries, complete=complete))


def accepted(of: AttemptKey) -> pb.AgentItem:
    return pb.AgentItem(accepted=pb.Accepted(key=wire_key(of), epoch=7))


def started(of: AttemptKey) -> pb.AgentItem:
    return pb.AgentItem(started=pb.Started(key=wire_key(of), epoch=7, started_at=5))


def wire_result(of: AttemptKey) -> pb.Result:
    return pb.Result(
        key=wire_key(of),
        epoch=7,
        outcome=pb.OUTCOME_SUCCEEDED,
        outputs=b'{"exit":0}',
        digest=digest({"outcome": "succeeded", "error": "", "outputs": {"exit": 0}}),
        started_at=5,
        ended_at=6,
    )


def result(of: AttemptKey) -> pb.AgentItem:
    return pb.AgentItem(result=wire_result(of))


def heartbeat(nonce: str = "") -> pb.AgentItem:
    return pb.AgentItem(heartbeat=pb.Heartbeat(clock=1, nonce=nonce))


def log(of: AttemptKey, data: bytes, offset: int = 0) -> pb.AgentItem:
    return pb.AgentItem(log=pb.LogChunk(key=wire_key(of), offset=offset, data=data))
