"""A real agent whose coordinator was stolen: whoever has it sends what they like, and has what people have signed.

The thief knows everything that an honest coordinator knew: the plan, its slices, every signature, the host's identity.
"""

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
            StepTypeInfo("command.run", author_effects=(Effect.READ,), digest="sha256:2", **own),
        )
    }
    text = f"""
    targets: {{hosts: [h1]}}
    steps:
      - {{id: wipe, type: file.remove, requires_approval: true, parameters: {{path: "{path}"}}}}
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
        found: list[pb.Result] = []
        number = 0
        while not found:
            number += 1
            found = [each for each in await self.session.wait_for("result", number) if each.key == wire.key]
        self.session.send(result_ack=pb.ResultAck(key=wire.key))
        return found[0]

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


def _signed_by(shown: Site, signed: Site, now: int) -> SignedPlan:
    """Return one plan with the signatures that were given for another."""
    given = signed.approval(ANNA, gate=GATE, at=now)
    return shown.shown(given)


def _numbered(assignment: Assignment, attempt: int) -> Assignment:
    return replace(assignment, key=assignment.key._replace(attempt=attempt))
