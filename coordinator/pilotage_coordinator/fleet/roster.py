"""Who is connected: admits sessions, finds a host's session, and is the runtime's door to the fleet (FleetPort)."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pilotage_proto.attempt import AttemptKey
from pilotage_proto.v1 import fleet_pb2 as pb

from pilotage_coordinator.audit.head import SignedHead
from pilotage_coordinator.domain.fleet import Assignment, Greeting, Query, QueryAnswer
from pilotage_coordinator.fleet import wire
from pilotage_coordinator.fleet.admission import Marks, Verdict, common_protocol, judge
from pilotage_coordinator.fleet.errors import BadMessage, RefusalReason, Refused, TransportLost
from pilotage_coordinator.fleet.messages import AgentMessage, Hello
from pilotage_coordinator.fleet.peer import Peer
from pilotage_coordinator.fleet.registry import Certificate, Host, Registry
from pilotage_coordinator.fleet.session import INTERNAL_PAUSE_MS, Party, Session
from pilotage_coordinator.fleet.settings import PROTOCOL_MAX, PROTOCOL_MIN, SessionSettings
from pilotage_coordinator.fleet.transport import Transport
from pilotage_coordinator.runtime.fleet_port import FleetListener, HostUnreachable
from pilotage_coordinator.runtime.witnesses import Witnesses
from pilotage_coordinator.store.errors import StoreError
from pilotage_coordinator.structured import structlog

_log = structlog.get_logger("pilotage.fleet")


@dataclass(slots=True)
class Seat:
    """One host's place: at most one session sits here; `lock` serialises who gets it."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    session: Session | None = None
    handshakes: int = 0
    last_instance: str = ""


class Roster:
    """Implements FleetPort. All methods belong to the event loop's thread."""

    def __init__(
        self,
        registry: Registry,
        settings: SessionSettings,
        epoch: int,
        clock: Callable[[], int],
        token: Callable[[], str],
        witnesses: Witnesses | None = None,
    ) -> None:
        """`clock` gives UTC microseconds, `token` unguessable unique texts. `witnesses` hears what hosts have seen of
        the audit log, and knows what to show them."""
        self._witnesses = witnesses
        self._shown: SignedHead | None = None
        self._show_at = 0
        self._registry = registry
        self._settings = settings
        self._epoch = epoch
        self._clock = clock
        self._token = token
        self._listener: FleetListener | None = None
        self._listened = asyncio.Event()
        self._seats: dict[str, Seat] = {}
        self._stopping: int | None = None
        self.highest_epoch_seen = 0
        """The highest epoch that an agent reported; above one's own after a restore from an old backup."""

    def listen(self, listener: FleetListener) -> None:
        """Set who is told what agents say; the first sessions wait for it."""
        self._listener = listener
        self._listened.set()

    # FleetPort

    def online(self, host: str) -> bool:
        """Return whether the host has a reconciled session."""
        session = self._session(host)
        return session is not None and session.online

    def assign(self, assignment: Assignment) -> None:
        """Queue an attempt for its host, or drop it when there is no session."""
        session = self._session(assignment.key.host)
        if session is not None:
            session.outbox.assign(assignment)

    def cancel(self, key: AttemptKey, epoch: int, reason: str) -> None:
        """Queue a cancel; an assignment that still waits for that key is withdrawn first."""
        session = self._session(key.host)
        if session is not None:
            session.outbox.cancel(key, epoch, reason)

    async def query(self, host: str, query: Query) -> QueryAnswer:
        """Ask a host. `query.secrets` are plain values: only here the query's id, which they are bound to, is known."""
        session = self._session(host)
        if session is None:
            raise HostUnreachable(f"{host} has no session now")
        return await session.ask(query)

    def sealing_key(self, host: str) -> bytes:
        """Return the key that secrets for a connected host are sealed to; raises HostUnreachable."""
        session = self._session(host)
        if session is None:
            raise HostUnreachable(f"{host} has no session now, so its sealing key is not known here")
        return session.party.sealing_key

    def reconnect(self, host: str, reason: str) -> None:
        """End the host's session, also one that is only opening; the agent dials again at once."""
        session = self._session(host)
        if session is not None:
            session.end(reason, wire.write_goodbye(0))

    async def disconnect(self, host: str, reason: str) -> None:
        """End the host's session at once; the agent is not asked to come back."""
        session = self._session(host)
        if session is not None:
            known = await self._registry.host(session.party.host_id)
            quarantined = known is not None and not known.revoked and known.quarantine
            kind = RefusalReason.QUARANTINED if quarantined else RefusalReason.REVOKED
            session.refuse(Refused(kind, reason, retry=False))

    # Sessions

    @property
    def sessions(self) -> Sequence[Session]:
        """Return the sessions that there are now."""
        return [seat.session for seat in self._seats.values() if seat.session is not None]

    async def serve(self, peer: Peer, transport: Transport) -> None:
        """Hold one stream from its beginning to its end. Returns normally however it ends."""
        seat = self._seats.setdefault(peer.host, Seat())
        session: Session | None = None
        try:
            # The Hello stays behind in the handshake: it is large, and a session lives for months.
            session, protocol, rest = await self._shake_hands(peer, seat, transport)
            welcome = wire.write_welcome(
                protocol=protocol,
                epoch=self._epoch,
                clock=self._clock(),
                heartbeat_seconds=self._settings.heartbeat_seconds,
                log_window=self._settings.log_window,
                version=self._settings.version,
                audit_head=self._witnesses.newest if self._witnesses is not None else None,
                recoveries=self._witnesses.recoveries if self._witnesses is not None else (),
            )
            await session.run(welcome, rest)
        except Refused as refused:
            _log.warning("session.refused", host=peer.host, reason=str(refused.reason), message=refused.message)
            await self._say(transport, wire.write_refusal(refused))
        except StoreError as error:
            # A session whose marks are not kept would let a copied or replaced journal pass for the host's own.
            _log.warning("session.not_stored", host=peer.host, error=str(error))
            await self._say(transport, wire.write_goodbye(INTERNAL_PAUSE_MS))
        except TransportLost as error:
            _log.info("session.lost_in_handshake", host=peer.host, error=str(error))
        except Exception:
            _log.exception("session.failed_in_handshake", host=peer.host)
            await self._say(transport, wire.write_goodbye(INTERNAL_PAUSE_MS))
        finally:
            if session is not None and seat.session is session:
                seat.session = None

    async def sweep(self) -> None:
        """End sessions whose certificate ended, and those whose host or certificate was denied; show agents how far the
        audit log has come. Call it often."""
        now = self._clock()
        self.show_head()
        denied = await self._registry.deny_list(now)
        for session in self.sessions:
            if session.party.expires_at <= now:
                session.end("the certificate of the stream ended; reconnect with the new one", wire.write_goodbye(0))
            elif session.party.serial in denied:
                session.refuse(
                    Refused(RefusalReason.REVOKED, "the certificate of this stream was revoked", retry=False)
                )

    def show_head(self) -> None:
        """Show agents how far the audit log has come, unless that was done just now."""
        now = self._clock()
        newest = self._witnesses.newest if self._witnesses is not None else None
        if newest is None or newest == self._shown or now < self._show_at:
            return
        self._shown, self._show_at = newest, now + int(self._settings.witness_seconds * 1_000_000)
        item = wire.write_audit_head(newest)
        for session in self.sessions:
            if session.online:
                session.outbox.push(item)

    async def shut_down(self, reconnect_ms: int) -> None:
        """Say goodbye to every agent, take no new session, and wait until all have ended."""
        self._stopping = reconnect_ms
        sessions = self.sessions
        for session in sessions:
            session.end("the coordinator stops", wire.write_goodbye(reconnect_ms))
        for session in sessions:
            await session.finished.wait()

    def _session(self, host: str) -> Session | None:
        seat = self._seats.get(host)
        return seat.session if seat is not None else None

    async def _shake_hands(
        self, peer: Peer, seat: Seat, transport: Transport
    ) -> tuple[Session, int, Sequence[AgentMessage]]:
        """Return the host's new session, its protocol, and what came with the Hello."""
        seat.handshakes += 1
        try:
            hello, rest = await self._greet(peer, seat, transport)
            async with seat.lock:
                session, protocol = await self._admit(peer, seat, hello, transport)
                seat.session, seat.last_instance = session, hello.greeting.instance_id
            return session, protocol, rest
        finally:
            seat.handshakes -= 1

    async def _greet(self, peer: Peer, seat: Seat, transport: Transport) -> tuple[Hello, Sequence[AgentMessage]]:
        """Return the Hello and what came with it."""
        if self._stopping is not None:
            raise TransportLost("the coordinator stops")
        if seat.handshakes > self._settings.most_handshakes:
            raise Refused(
                RefusalReason.STALE_SESSION, f"{seat.handshakes - 1} streams of this host greet already", retry=True
            )
        await self._standing(peer)
        try:
            async with asyncio.timeout(self._settings.handshake_seconds):
                items = await transport.receive()
            if items is None:
                raise TransportLost("the agent ended the stream before its hello")
            messages = wire.read_items(items)
        except TimeoutError:
            raise Refused(RefusalReason.BAD_MESSAGE, "no hello came in time", retry=True) from None
        except BadMessage as error:
            raise Refused(RefusalReason.BAD_MESSAGE, str(error), retry=False) from error
        if not messages or not isinstance(messages[0], Hello):
            raise Refused(RefusalReason.BAD_MESSAGE, "a session begins with a hello", retry=False)
        return messages[0], messages[1:]

    async def _admit(self, peer: Peer, seat: Seat, hello: Hello, transport: Transport) -> tuple[Session, int]:
        """Judge a greeting and make its session; the host's earlier one has ended then. Raises Refused."""
        host = await self._standing(peer)
        protocol = common_protocol(hello.protocol_min, hello.protocol_max)
        if protocol is None:
            raise Refused(
                RefusalReason.PROTOCOL,
                f"the agent speaks protocol {hello.protocol_min} to {hello.protocol_max}, this coordinator "
                f"{PROTOCOL_MIN} to {PROTOCOL_MAX}; upgrade the older of the two",
                retry=False,
            )
        greeting = hello.greeting
        self.highest_epoch_seen = max(self.highest_epoch_seen, greeting.highest_epoch)
        old = seat.session
        judgement = judge(greeting, host.marks, old.live if old else None, seat.last_instance, self._epoch)
        verdict, reason = judgement.verdict, judgement.reason
        if verdict is Verdict.CHALLENGE:
            assert old is not None
            verdict = Verdict.QUARANTINE if await old.challenge() else Verdict.ADMIT
            reason = "two agents answer under the identity of this host: its key and state were copied"
        if verdict is Verdict.OLD_COORDINATOR:
            # Soon: the coordinator that follows with `--after-restore` waits a minute for every host.
            raise Refused(RefusalReason.OLD_COORDINATOR, reason, retry=True)
        if verdict is Verdict.STALE:
            raise Refused(RefusalReason.STALE_SESSION, reason, retry=True)
        if verdict is Verdict.QUARANTINE:
            if await self._has_ended(transport):
                raise TransportLost(f"a late greeting, of an agent that is gone: {reason}")
            raise await self._quarantine(peer, old, reason)
        await self._compare_log(host.name, greeting)
        if old is not None:
            old.refuse(Refused(RefusalReason.SUPERSEDED, "a newer session of this host was opened", retry=True))
            await old.finished.wait()
        if self._stopping is not None:
            raise TransportLost("the coordinator stops")
        marks = Marks(
            journal_id=greeting.journal_id,
            journal_sequence=greeting.journal_sequence,
            session_counter=greeting.session_counter,
            highest_epoch=greeting.highest_epoch,
        )

        async def remember() -> None:
            version, boot = greeting.agent_version, greeting.boot_id
            if not await self._registry.remember(host.id, marks, version, boot, self._clock()):
                reason = "the host's standing has just changed; try again"
                raise Refused(RefusalReason.STALE_SESSION, reason, retry=True)

        # A new journal is remembered only once its open attempts are settled: were this process killed in between,
        # nobody would see that the journal was replaced, and what ran under the old one would be sent again.
        replaced = host.marks.journal_id not in ("", greeting.journal_id)
        if not replaced:
            await remember()
        await self._listened.wait()
        assert self._listener is not None
        party = Party(host.id, host.name, peer.serial, peer.expires_at, host.sealing_key)
        session = Session(
            party, hello, transport, self._listener, self._settings, self._token, remember if replaced else None
        )
        return session, protocol

    async def _compare_log(self, host: str, greeting: Greeting) -> None:
        """Compare what the host has seen of the audit log with the log; raises Refused when they contradict."""
        if self._witnesses is not None and (reason := await self._witnesses.heard(host, greeting.witness)):
            raise Refused(RefusalReason.OLD_COORDINATOR, reason, retry=True)

    async def _has_ended(self, transport: Transport) -> bool:
        """Return whether nobody is at the other end any more.

        An agent that was killed in its greeting has its greeting delivered all the same, perhaps after that of the
        process that follows it. Then the end of its stream arrives with it; a copy of a host holds its stream open.
        """
        try:
            async with asyncio.timeout(self._settings.farewell_seconds):
                while await transport.receive() is not None:
                    pass
        except TransportLost:
            return True
        except TimeoutError:
            return False
        return True

    async def _quarantine(self, peer: Peer, old: Session | None, reason: str) -> Refused:
        refused = Refused(RefusalReason.QUARANTINED, reason, retry=False)
        _log.error("host.quarantined", host=peer.host, reason=reason)
        await self._registry.quarantine(peer.host_id, reason, self._clock())
        if old is not None:
            old.refuse(refused)
        return refused

    async def _standing(self, peer: Peer) -> Host:
        """Return the host behind a certificate; raises Refused unless it may have sessions now."""
        host_id, name, serial, expires_at = peer.host_id, peer.host, peer.serial, peer.expires_at
        host = await self._registry.host(host_id)
        if host is None or host.name != name:
            raise Refused(RefusalReason.REVOKED, f"{name} ({host_id}) is not enrolled here; join again", retry=False)
        if host.revoked:
            raise Refused(RefusalReason.REVOKED, f"{name} was revoked; join again under a new identity", retry=False)
        if await self._registry.denied(serial) and not await self._registry.adopt(
            Certificate(serial, host_id, self._clock(), expires_at)
        ):
            raise Refused(RefusalReason.REVOKED, f"certificate {serial} of {name} was revoked", retry=False)
        if host.quarantine:
            raise Refused(RefusalReason.QUARANTINED, f"{name} is in quarantine: {host.quarantine}", retry=False)
        return host

    async def _say(self, transport: Transport, last: pb.CoordinatorItem) -> None:
        try:
            async with asyncio.timeout(self._settings.farewell_seconds):
                await transport.send([last])
        except (TransportLost, TimeoutError):
            _log.info("session.last_word_unsent", word=last.WhichOneof("item"))
