"""A real agent whose coordinator was stolen: whoever has it sends what they like, and has what people have signed.

The thief knows everything that an honest coordinator knew: the plan, its slices, every signature, the host's identity.
"""

import base64
import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from pilotage_agent.agent import agent_version, microseconds
from pilotage_agent.approval.pins import pin_approvers
from pilotage_agent.messages import Assignment, SignedPlan
from pilotage_agent.state_dir import StateDir
from pilotage_coordinator.domain.plan import Effect
from pilotage_coordinator.domain.planning.request import Planned
from pilotage_coordinator.domain.step_type import StepTypeInfo
from pilotage_coordinator.fleet.wire import write_signed_plan
from pilotage_proto.attempt import AttemptKind
from pilotage_proto.canonical import canonical
from pilotage_proto.v1 import fleet_pb2 as pb

from tests.integration.agent.agent_process import running_agent
from tests.integration.agent.coordinator import SmallCoordinator, SmallSession
from tests.unit.agent.signing_site import ANNA, MALLORY, Site
from tests.unit.planning.fleet import host, plan
from tests.unit.service.signing import Signer

GATE = "wipe!approval"
EFFECTS = {"once": pb.EFFECT_ONCE, "idempotent": pb.EFFECT_IDEMPOTENT, "read": pb.EFFECT_READ}


def planned_on(path: Path) -> Planned:
    """Plan to remove a file, for the host that the small coordinator calls `hst_1`."""
    own: dict[str, Any] = {"distribution": "pilotage", "version": agent_version()}
    types = {
        each.name: each
        for each in (
            StepTypeInfo(
                "file.remove", effect=Effect.IDEMPOTENT, destructive=True, has_undo=True, digest="sha256:1", **own
            ),
            StepTypeInfo("file.write", effect=Effect.IDEMPOTENT, has_undo=True, digest="sha256:3", **own),
            StepTypeInfo("command.run", author_effects=(Effect.READ,), digest="sha256:2", **own),
        )
    }
    text = f"""
    targets: {{hosts: [h1]}}
    steps:
      - {{id: wipe, type: file.remove, requires_approval: true, parameters: {{path: "{path}"}}}}
      - id: slow
        type: file.write
        parameters: {{path: "{path}/slow", content: x, validate_with: [sh, -c, "sleep 60", "{{}}"]}}
      - {{id: look, type: command.run, effect: read, parameters: {{argv: [ls, "{path}"]}}}}
    """
    return plan(text, replace(host("h1", step_types=types), id="hst_1"))


def wire_assignment(assignment: Assignment) -> pb.Assignment:
    key = assignment.key
    kind = pb.ATTEMPT_KIND_UNDO if key.kind is AttemptKind.UNDO else pb.ATTEMPT_KIND_RUN
    return pb.Assignment(
        key=pb.AttemptKey(
            execution=key.execution, path=key.path, host=key.host, item=key.item, kind=kind, attempt=key.attempt
        ),
        epoch=1,
        plan_digest=assignment.plan_digest,
        step_type=assignment.step_type,
        effect=EFFECTS[assignment.effect.value],
        parameters=assignment.parameters,
        outputs=assignment.outputs,
        planned_step=assignment.planned_step,
    )


class Thief:
    """Speaks to an agent as its coordinator."""

    def __init__(self, session: SmallSession) -> None:
        self.session = session

    async def has(self, assignment: Assignment, plan: SignedPlan | None = None) -> pb.Result:
        """Send an attempt, and return what came of it."""
        if plan is not None:
            honest: Any = plan
            self.session.send(signed_plan=write_signed_plan(honest).signed_plan)
        wire = wire_assignment(assignment)
        self.session.send(assignment=wire)
        return await self.ended(wire.key)

    async def begins(self, assignment: Assignment) -> pb.AttemptKey:
        """Send an attempt, and return once it has begun."""
        wire = wire_assignment(assignment)
        self.session.send(assignment=wire)
        number = 1
        while wire.key not in [each.key for each in await self.session.wait_for("started", number)]:
            number += 1
        return wire.key

    async def ended(self, key: pb.AttemptKey) -> pb.Result:
        """Return what came of an attempt that was sent."""
        found: list[pb.Result] = []
        number = 0
        while not found:
            number += 1
            found = [each for each in await self.session.wait_for("result", number) if each.key == key]
        self.session.send(result_ack=pb.ResultAck(key=key))
        return found[0]

    async def is_not_told(self, why: str, step_type: str, parameters: dict[str, Any]) -> None:
        """Ask for something to be run as if it only read."""
        query = pb.Query(
            query_id=f"qry_{step_type}",
            purpose=pb.QUERY_PURPOSE_READ,
            step_type=step_type,
            parameters=canonical(parameters),
            timeout_ms=20_000,
        )
        self.session.send(query=query)
        number = 1
        while not (
            found := [e for e in await self.session.wait_for("query_answer", number) if e.query_id == query.query_id]
        ):
            number += 1
        assert not found[0].ok
        assert why in found[0].error

    async def fails(self, why: str, assignment: Assignment, plan: SignedPlan | None = None) -> None:
        """Send what the host must not do."""
        result = await self.has(assignment, plan)
        told = (result.outcome, result.failure_kind, result.started_at)
        assert told == (pb.OUTCOME_DECLINED, pb.FAILURE_KIND_APPROVAL, 0), result
        assert why in result.error


async def test_a_stolen_coordinator_destroys_nothing_and_an_honest_one_does_what_was_signed(
    coordinator: SmallCoordinator, state: StateDir, tmp_path: Path
) -> None:
    """Every way in which a thief asks for something that nobody has signed, before and after the honest run."""
    keys = tmp_path / "approvers"
    keys.write_text(ANNA.line + "\n")
    pin_approvers(state.approvers, keys)
    data = tmp_path / "data"
    data.write_text("precious")
    other = tmp_path / "other"
    other.write_text("more precious")
    site = Site(planned_on(data), on="h1")

    def approved(of: Site, *signers: Signer) -> SignedPlan:
        return of.shown(of.approval(*signers, gate=GATE, at=now))

    wipe = site.assignment("wipe", item="")
    async with running_agent(state) as agent:
        thief = Thief(await coordinator.next_session())
        now = microseconds()
        [hello] = await thief.session.wait_for("hello")
        fact = json.loads(hello.inventory.facts)["signed_plans"]
        assert (fact["steps"], fact["quorum"], fact["approvers"]) == ("destructive", 1, 1)
        await thief.fails("no signed plan", wipe)
        await thief.fails("0 of the 1 signatures", _numbered(wipe, 2), approved(site, MALLORY))
        shell = replace(
            _numbered(wipe, 3), step_type="command.run", effect=Effect.ONCE, parameters=b'{"argv":["rm","%b"]}'
        )
        await thief.fails("step type of wipe is command.run", shell, approved(site, ANNA))
        another = replace(_numbered(wipe, 4), parameters=wipe.parameters.replace(b"data", b"other"))
        await thief.fails("parameter path of wipe", another)
        forged = Site(planned_on(other), on="h1")
        await thief.fails(
            "0 of the 1 signatures", _numbered(forged.assignment("wipe", ""), 5), _signed_by(forged, site, now)
        )
        await thief.fails("nothing to undo", site.assignment("wipe", "", kind=AttemptKind.UNDO), approved(site, ANNA))
        assert (data.read_text(), other.read_text()) == ("precious", "more precious")

        result = await thief.has(_numbered(wipe, 6), approved(site, ANNA))
        assert result.outcome == pb.OUTCOME_SUCCEEDED, result.error
        assert not data.exists()
        data.write_text("precious again")
        await thief.fails("was done here already", _numbered(wipe, 7))
        agent.kill()
        await agent.ended()
    async with running_agent(state):
        thief = Thief(await coordinator.next_session())
        await thief.fails("was done here already", _numbered(wipe, 8), approved(site, ANNA))
        again = Site(planned_on(data), on="h1", execution="exe_2")
        await thief.fails("0 of the 1 signatures", again.assignment("wipe", ""), _signed_by(again, site, now))
        assert data.read_text() == "precious again"


async def test_a_stolen_coordinator_plants_nothing_by_undoing_what_did_not_succeed(
    coordinator: SmallCoordinator, state: StateDir, tmp_path: Path
) -> None:
    """What was never removed or written is not put back with a content of the thief's, at a path of the thief's."""
    keys = tmp_path / "approvers"
    keys.write_text(ANNA.line + "\n")
    pin_approvers(state.approvers, keys)
    settings = tmp_path / "agent.toml"
    settings.write_text("require_signed_plans = true\n")
    folder, planted, other = tmp_path / "folder", tmp_path / "planted", tmp_path / "other"
    folder.mkdir()
    other.write_text("precious")
    site = Site(planned_on(folder), on="h1")
    wipe, slow, look = (site.assignment(path, item="") for path in ("wipe", "slow", "look"))

    def forged(of: Assignment, attempt: int, path: Path) -> Assignment:
        return replace(of, key=of.key._replace(kind=AttemptKind.UNDO, attempt=attempt), outputs=_as_if_taken_from(path))

    async with running_agent(state, None, "--config", str(settings)):
        thief = Thief(await coordinator.next_session())
        signed = site.shown(site.approval(ANNA, gate=GATE, at=microseconds()))
        failed = await thief.has(wipe, signed)
        assert (failed.outcome, failed.started_at > 0) == (pb.OUTCOME_FAILED, True), failed
        await thief.fails("not what it gave here", forged(wipe, 1, planted))
        await thief.fails("not what it gave here", forged(wipe, 2, folder / "planted"))

        key = await thief.begins(slow)
        await thief.fails("not at its end here", forged(slow, 1, planted))
        thief.session.send(cancel=pb.Cancel(key=key, epoch=1, reason="stolen"))
        cancelled = await thief.ended(key)
        assert (cancelled.outcome, cancelled.started_at > 0) == (pb.OUTCOME_CANCELLED, True), cancelled
        await thief.fails("not what it gave here", forged(slow, 2, planted))

        touch = {"argv": ["touch", str(planted)]}
        await thief.fails("parameter argv of look", replace(look, parameters=canonical(touch)))
        await thief.fails("nothing to undo", forged(look, 1, planted))
        await thief.is_not_told("cannot be run while planning", "command.run", touch)
        await thief.is_not_told("cannot be run while planning", "file.remove", {"path": str(other)})
    assert (planted.exists(), list(folder.iterdir()), other.read_text()) == (False, [], "precious")


def _as_if_taken_from(path: Path) -> bytes:
    """Return outputs of a step that is said to have removed a file of the thief's from a path."""
    content = b"* * * * * root sh\n"
    previous = {
        "existed": True,
        "content": base64.b64encode(content).decode(),
        "sha256": hashlib.sha256(content).hexdigest(),
        "mode": 0o644,
    }
    return canonical({"path": str(path), "changed": True, "previous": previous})


def _signed_by(shown: Site, signed: Site, now: int) -> SignedPlan:
    """Return one plan with the signatures that were given for another."""
    given = signed.approval(ANNA, gate=GATE, at=now)
    return shown.shown(given)


def _numbered(assignment: Assignment, attempt: int) -> Assignment:
    return replace(assignment, key=assignment.key._replace(attempt=attempt))
