"""Steps with `at_plan`: what to ask which host, and what the answers mean."""

from typing import Final

from pilotage_coordinator.domain.blueprint.model import Step
from pilotage_coordinator.domain.blueprint_files import with_files
from pilotage_coordinator.domain.errors import DomainError
from pilotage_coordinator.domain.expression.references import References
from pilotage_coordinator.domain.plan import FailureKind, Json, OnOffline, PlannedStep
from pilotage_coordinator.domain.planning.bench import Bench, Frame, reason
from pilotage_coordinator.domain.planning.depends import Depends
from pilotage_coordinator.domain.planning.json_form import plain
from pilotage_coordinator.domain.planning.request import Question
from pilotage_coordinator.domain.planning.resolution import Resolution, View
from pilotage_coordinator.domain.values import MINUTE

READ_TIMEOUT: Final = 2 * MINUTE
"""Of a question to a host, where the step has no timeout of its own."""


class Reads:
    """The reads of one `at_plan` step."""

    def __init__(self, bench: Bench, resolution: Resolution, frame: Frame, step: Step, planned: PlannedStep) -> None:
        self._bench = bench
        self._resolution = resolution
        self._frame = frame
        self._step = step
        self._planned = planned
        self._path = planned.path

    def gather(self, hosts: tuple[str, ...], references: References) -> dict[str, Json]:
        """Return host to outputs as far as they are answered; asks for the others, and tells the frame.

        The coordinator (host "") is not asked: a step with at_plan that runs there is refused elsewhere.
        """
        if self._resolution.waits(references, self._frame):
            self._bench.waiting = True
            self._frame.waiting.add(self._step.id)
            return {}
        answered: dict[str, Json] = {}
        for host in filter(None, hosts):
            try:
                self._one(host, references, answered)
            except DomainError as error:
                self._refuse(FailureKind.PARAMETER, host, reason(error))
        once = next(iter(answered.values()), None) if self._step.run_once and not self._frame.on_host else None
        self._frame.answered[self._step.id] = {"": once} if once is not None else dict(answered)
        return answered

    def _one(self, host: str, references: References, answered: dict[str, Json]) -> None:
        view = View(self._frame, host, live=True)
        if self._resolution.depends(references, view) is Depends.RUN_TIME:
            raise DomainError("an at_plan step uses what is known only at run time")
        if self._step.when is not None and not self._resolution.condition(self._step.when, view):
            return
        key = (self._path, host)
        answer = self._bench.world.answers.get(key)
        if answer is not None and answer.error:
            kind = answer.failure_kind or FailureKind.STEP
            self._refuse(kind, host, f"the host could not answer: {answer.error}", "fix it there, then plan again")
        elif answer is not None:
            answered[host] = plain(answer.outputs)
        elif key in self._bench.request.pins.unanswered:
            self._leave_out(host)
        elif not self._bench.world.inventory[host].online:
            self._offline(host)
        else:
            rendered = self._resolution.render(dict(self._planned.parameters), view)
            given = with_files(rendered, self._planned.files, self._bench.files)
            timeout = self._step.settled(self._frame.defaults).timeout or READ_TIMEOUT
            self._bench.questions.append(Question(self._path, host, self._step.type, given, timeout))
            self._frame.waiting.add(self._step.id)

    def _offline(self, host: str) -> None:
        if self._step.settled(self._frame.defaults).on_offline is OnOffline.SKIP:
            self._leave_out(host)
            return
        message = "the host is offline, and the plan depends on its answer"
        self._refuse(FailureKind.TARGET, host, message, "start its agent, exclude it, or write `on_offline: skip`")

    def _leave_out(self, host: str) -> None:
        self._bench.unanswered.add((self._path, host))
        self._bench.note("offline when planned: what depends on its answer does not run there", self._path, host)

    def _refuse(self, kind: FailureKind, host: str, message: str, fix: str = "") -> None:
        self._bench.refuse(kind, message, fix, path=self._path, host=host, at=self._step.at)
