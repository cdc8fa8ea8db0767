"""The runner on a real machine: attempts in worker processes, their folders, and how they end."""

import asyncio
import contextlib
import json
import logging
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pilotage_proto.attempt import AttemptKey, AttemptKind

from pilotage_agent.errors import AgentError, SealBroken
from pilotage_agent.failpoint import Failpoints
from pilotage_agent.ledger import Entry, OutcomeFound, Recovered, WorkerGone
from pilotage_agent.messages import Assignment, FailureKind, Query, QueryAnswer, QueryPurpose
from pilotage_agent.runner.attempt_folder import AttemptFolder, folder_name, folders_in
from pilotage_agent.runner.job import Job, Purpose
from pilotage_agent.runner.local_log import LocalLog
from pilotage_agent.runner.local_run import AttachedRun, Limits, LocalRun, Question, outcome_of
from pilotage_agent.runner.pool import WorkerPool
from pilotage_agent.runner.process import boot_id, is_alive, kill_tree
from pilotage_agent.runner.step_log import last_lines

_log = logging.getLogger("pilotage.agent.runner")

PROBE_TIMEOUT_MS: Final = 5 * 60 * 1000
RECOVERY_TIMEOUT_MS: Final = 15 * 60 * 1000
"""Long enough for programs of an author's that wake an application, and for one that stops slowly."""

RECOVERY_PAUSES: Final = (1.0, 4.0, 15.0, 40.0)
"""Between tries of a recovery, seconds: after a power cut the agent may be up before what it needs."""

QUERY_TIMEOUT_MS: Final = 60 * 1000
EVIDENCE_LINES: Final = 20
SWEEP_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True)
class RunnerParts:
    """What a runner is told about its host. `facts` is JSON; `unseal` opens one sealed secret (context, name, blob);
    `is_builtin` says whether a step type may share a worker with others, `recovers` whether it puts in order what an
    interrupted attempt left half done."""

    host: str
    facts: Callable[[], str]
    unseal: Callable[[str, str, bytes], bytes]
    is_builtin: Callable[[str], bool]
    recovers: Callable[[str], bool]
    now: Callable[[], int]


class LocalRunner:
    """Implements the Runner port with worker processes."""

    def __init__(
        self, root: Path, pool: WorkerPool, parts: RunnerParts, limits: Limits, failpoints: Failpoints
    ) -> None:
        self._root = root
        self._pool = pool
        self._parts = parts
        self._limits = limits
        self._failpoints = failpoints
        self._boot = boot_id()
        self._logs: dict[AttemptKey, LocalLog] = {}
        self._rubbish: list[AttemptFolder] = []

    async def prepare(self, entry: Entry, assignment: Assignment) -> LocalRun:
        """Take a worker and make the attempt's folder; raises WorkerLost or SealBroken."""
        secrets = await self._open_secrets(str(entry.key), assignment.secrets)
        reuse = not entry.effect.starts_once and not secrets and self._parts.is_builtin(entry.step_type)
        worker = await self._pool.take(reuse=reuse)
        folder = self.folder(entry.key)
        job = Job(
            purpose=Purpose.UNDO if entry.key.kind is AttemptKind.UNDO else Purpose.RUN,
            key=str(entry.key),
            host=entry.key.host or self._parts.host,
            folder=str(folder.path),
            step_type=entry.step_type,
            effect=entry.effect.value,
            parameters=assignment.parameters.decode(),
            outputs=assignment.outputs.decode(),
            secrets=secrets,
            sensitive_outputs=assignment.sensitive_outputs,
            host_variables=assignment.host_variables.decode(),
            facts=self._parts.facts(),
            timeout_ms=entry.timeout_ms,
            memory_bytes=self._limits.memory_bytes,
            log_bytes=self._limits.log_bytes,
            durable=entry.starts_durably,
            reuse=reuse,
        )
        log = self._logs[entry.key] = LocalLog(entry.key, folder.logs)
        return LocalRun(entry, job, worker, folder, log, self._pool, self._limits, self._parts.now, self._failpoints)

    async def reattach(self, entry: Entry) -> AttachedRun | OutcomeFound | WorkerGone:
        """Look for the attempt's outcome, then its worker, then the outcome again (it may have come in between)."""
        folder = self.folder(entry.key)
        log = LocalLog(entry.key, folder.logs)
        self._logs[entry.key] = log
        if (outcome := folder.read_outcome()) is not None:
            log.end()
            return outcome_of(entry, outcome)
        if entry.worker is not None and is_alive(entry.worker, self._boot):
            with contextlib.suppress(ProcessLookupError, OSError):
                return AttachedRun(entry, folder, log, self._limits, self._parts.now)
        log.end()
        if (outcome := folder.read_outcome()) is not None:
            return outcome_of(entry, outcome)
        same_boot = entry.worker is not None and entry.worker.boot_id == self._boot
        cause = "its worker ended without an outcome" if same_boot else "the host was restarted while it ran"
        return WorkerGone(begun=folder.has_begun(), same_boot=same_boot, cause=cause)

    def left_behind(self, journaled: Iterable[AttemptKey]) -> Iterable[Entry]:
        """Return the entries of all folders that are not merely waiting for their log to be sent."""
        kept = {folder_name(key) for key in journaled}
        for folder in folders_in(self._root, kept):
            entry = folder.entry()
            if entry is None:
                if folder.path.name not in kept:
                    self._put_away(folder)
            elif folder.is_acknowledged():
                log = LocalLog(entry.key, folder.logs)
                log.end()
                log.acknowledged = True
                self._logs[entry.key] = log
            else:
                yield entry

    def _put_away(self, folder: AttemptFolder) -> None:
        """Delete what nobody knows and nobody can read; not while a worker may be writing it, as when the journal was
        lost: it would end with its outcome in a file that has no name."""
        if folder.may_be_in_the_making(self._boot):
            _log.warning("the record %s cannot be read; it stays until the host has been restarted", folder.path)
        else:
            folder.remove()

    def logs(self) -> Iterable[LocalLog]:
        """Return every log that is here."""
        return tuple(self._logs.values())

    def recovers(self, step_type: str) -> bool:
        return self._parts.recovers(step_type)

    async def recover(self, entry: Entry) -> Recovered:
        """Run the step type's recovery in a fresh worker; what may heal, such as a service that comes up after us, is
        tried again."""
        if entry.worker is not None:
            # It has told its outcome, and a thread of the step's may still be at work in it.
            await asyncio.to_thread(kill_tree, entry.worker, self._boot)
        await asyncio.to_thread(self.folder(entry.key).begin_again, entry)
        for pause in (*RECOVERY_PAUSES, None):
            recovered, final = await self._recover_once(entry)
            if recovered.ok or final or pause is None:
                break
            _log.warning("%s could not be put in order, trying again in %g s: %s", entry.key, pause, recovered.text)
            await asyncio.sleep(pause)
        return recovered

    async def _recover_once(self, entry: Entry) -> tuple[Recovered, bool]:
        """Return what came of one try, and whether another cannot come to anything else."""
        assert entry.assignment is not None
        try:
            secrets = await self._open_secrets(str(entry.key), entry.assignment.secrets)
            answer = await self._ask(
                Purpose.RECOVER, entry.assignment, secrets, RECOVERY_TIMEOUT_MS, entry.effect.value, key=str(entry.key)
            )
        except (AgentError, OSError) as error:
            return Recovered(False, f"the recovery could not be run: {error}"), isinstance(error, SealBroken)
        if not answer["ok"]:
            return Recovered(False, str(answer["error"])), answer["failure_kind"] == FailureKind.PARAMETER
        return Recovered(True, str(json.loads(answer["answer"])["evidence"])), True

    async def probe(self, entry: Entry) -> Mapping[str, Any]:
        """Run the step type's probe in a fresh worker; an answer that cannot be had is `unknown`."""
        assert entry.assignment is not None
        try:
            secrets = await self._open_secrets(str(entry.key), entry.assignment.secrets)
            answer = await self._ask(
                Purpose.PROBE, entry.assignment, secrets, PROBE_TIMEOUT_MS, entry.effect.value, key=str(entry.key)
            )
        except (AgentError, OSError) as error:
            return {"answer": "unknown", "evidence": f"the probe could not be run: {error}"}
        if not answer["ok"]:
            return {"answer": "unknown", "evidence": f"the probe failed: {answer['error']}"}
        found: dict[str, Any] = json.loads(answer["answer"])
        return found

    async def query(self, query: Query) -> QueryAnswer:
        """Answer in a worker; nothing is journaled."""
        purpose = Purpose.PREVIEW if query.purpose is QueryPurpose.PREVIEW else Purpose.READ
        try:
            secrets = await self._open_secrets(query.query_id, query.secrets)
            timeout = query.timeout_ms or QUERY_TIMEOUT_MS
            answer = await self._ask(purpose, query, secrets, timeout, "read", key=f"query/{query.query_id}")
        except (AgentError, OSError) as error:
            return QueryAnswer(query.query_id, False, b"", FailureKind.INFRASTRUCTURE, str(error))
        kind = FailureKind(answer["failure_kind"]) if answer["failure_kind"] else None
        return QueryAnswer(query.query_id, bool(answer["ok"]), answer["answer"].encode(), kind, answer["error"])

    def log_of(self, key: AttemptKey) -> LocalLog | None:
        return self._logs.get(key)

    def last_lines(self, key: AttemptKey) -> list[str]:
        return last_lines(self.folder(key).logs, EVIDENCE_LINES)

    def settle(self, key: AttemptKey) -> None:
        """Keep the folder only as long as its log is wanted."""
        log = self._logs.get(key)
        if log is None or log.is_sent or log.size() == 0:
            self._drop(key)
        else:
            log.acknowledged = True
            self.folder(key).mark_acknowledged()

    def log_sent(self, key: AttemptKey) -> None:
        """Delete the folder, unless the result in it may still be wanted."""
        log = self._logs.get(key)
        if log is not None:
            log.is_sent = True
            if log.acknowledged:
                self._drop(key)

    async def close(self) -> None:
        """Let idle workers end, and sweep up."""
        await self._pool.close()
        await asyncio.to_thread(self._sweep)

    def _drop(self, key: AttemptKey) -> None:
        """Delete an attempt's folder soon, together with others, off the event loop."""
        self._logs.pop(key, None)
        if not self._rubbish:
            loop = asyncio.get_running_loop()
            loop.call_later(SWEEP_SECONDS, lambda: loop.run_in_executor(None, self._sweep))
        self._rubbish.append(self.folder(key))

    def _sweep(self) -> None:
        rubbish, self._rubbish = self._rubbish, []
        for folder in rubbish:
            folder.remove()

    def folder(self, key: AttemptKey) -> AttemptFolder:
        """Return the folder of an attempt."""
        return AttemptFolder(self._root / folder_name(key))

    async def _open_secrets(self, context: str, sealed: Mapping[str, bytes]) -> dict[str, bytes]:
        """Open sealed secrets, on a thread: the first one makes the agent load a library. Raises SealBroken."""
        if not sealed:
            return {}
        names = tuple(sealed)
        opened = await asyncio.to_thread(lambda: [self._parts.unseal(context, name, sealed[name]) for name in names])
        return dict(zip(names, opened, strict=True))

    async def _ask(
        self,
        purpose: Purpose,
        subject: Assignment | Query,
        secrets: Mapping[str, bytes],
        timeout_ms: int,
        effect: str,
        *,
        key: str,
    ) -> dict[str, Any]:
        """Let a worker answer something that is no attempt; raises WorkerLost."""
        folder = AttemptFolder(self._root / uuid.uuid4().hex)
        about_attempt = isinstance(subject, Assignment)
        reuse = not secrets and not about_attempt and self._parts.is_builtin(subject.step_type)
        job = Job(
            purpose=purpose,
            key=key,
            host=self._parts.host,
            folder=str(folder.path),
            step_type=subject.step_type,
            effect=effect,
            parameters=subject.parameters.decode(),
            secrets=secrets,
            host_variables=subject.host_variables.decode(),
            facts=self._parts.facts(),
            timeout_ms=timeout_ms,
            memory_bytes=self._limits.memory_bytes,
            durable=False,
            alone=str(self.folder(subject.key).path) if isinstance(subject, Assignment) else "",
            reuse=reuse,
        )
        try:
            worker = await self._pool.take(reuse=reuse)
            return await Question(job, worker, folder, self._pool, self._limits).answer()
        finally:
            await asyncio.to_thread(folder.remove)
