"""Why an operation was refused: one root, one class per answer a face must tell apart.

Every error says what happened to which thing (`detail`), what kind of failure it is, and how to fix it.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from pilotage_coordinator.domain.blueprint.errors import BlueprintError, Problem
from pilotage_coordinator.domain.errors import DomainError
from pilotage_coordinator.domain.plan import FailureKind
from pilotage_coordinator.domain.planning.errors import PlanProblem, PlanRefused, SelectorRefused
from pilotage_coordinator.domain.policy.errors import PolicyRefused
from pilotage_coordinator.domain.schedule.errors import ScheduleRefused
from pilotage_coordinator.security.errors import AgeError
from pilotage_coordinator.store import errors as store_errors


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with what was asked. All but the message may be empty; lines and columns count from 1."""

    message: str
    fix: str = ""
    file: str = ""
    line: int = 0
    column: int = 0
    path: str = ""
    """Where in the blueprint's tree, or which step of the plan."""
    host: str = ""
    kind: FailureKind = FailureKind.PARAMETER

    @staticmethod
    def of_blueprint(problem: Problem) -> "Fault":
        """Return a loader's problem as a fault."""
        return Fault(problem.message, problem.hint, problem.file, problem.line, problem.column, problem.path)

    @staticmethod
    def of_plan(problem: PlanProblem) -> "Fault":
        """Return a planner's problem as a fault."""
        at = problem.at
        return Fault(
            problem.message,
            problem.fix,
            at.file if at.line else "",
            at.line,
            at.column,
            problem.path,
            problem.host,
            problem.kind,
        )


class ServiceError(Exception):
    """An operation was not done. Nothing has been changed unless the text says otherwise."""

    kind = FailureKind.INFRASTRUCTURE

    def __init__(
        self, detail: str, *, fix: str = "", problems: Sequence[Fault] = (), kind: FailureKind | None = None
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.fix = fix
        self.problems = tuple(problems)
        self.kind = kind or type(self).kind


class Invalid(ServiceError):
    """What was asked cannot be read or does not hold together; `problems` names every place."""

    kind = FailureKind.PARAMETER


class NotFound(ServiceError):
    """The thing named does not exist here."""

    kind = FailureKind.TARGET


class Denied(ServiceError):
    """The caller may not do this."""

    kind = FailureKind.POLICY


class Unauthenticated(ServiceError):
    """Nobody knows who asks: no token, or one that proves nothing (any more)."""

    kind = FailureKind.POLICY


class TooMany(ServiceError):
    """Whoever asks has failed to say who it is too often; the same request may succeed in a minute."""

    kind = FailureKind.POLICY


class Conflict(ServiceError):
    """The thing exists and is in a state in which this cannot be done."""

    kind = FailureKind.STEP


class Unavailable(ServiceError):
    """The coordinator cannot do this now; the same request may succeed later."""

    kind = FailureKind.INFRASTRUCTURE


@contextmanager
def translated() -> Iterator[None]:
    """Turn what the rooms below raise into what faces can tell apart; anything else is a defect and passes."""
    try:
        yield
    except BlueprintError as error:
        raise invalid(error.problems) from error
    except (PlanRefused, PolicyRefused) as error:
        raise refused(error) from error
    except SelectorRefused as error:
        raise Invalid(str(error), kind=FailureKind.TARGET) from error
    except ScheduleRefused as error:
        raise Invalid(str(error), fix=error.fix) from error
    except DomainError as error:
        raise Conflict(str(error)) from error
    except AgeError as error:
        raise Invalid(str(error), fix="`age-keygen` makes a key and shows its recipient, age1…") from error
    except store_errors.NotFound as error:
        raise NotFound(str(error)) from error
    except store_errors.BadCursor as error:
        raise Invalid(str(error), fix="begin the list again without a cursor") from error
    except store_errors.ReadTooLong as error:
        raise Unavailable(str(error), fix="ask for a shorter page") from error
    except (store_errors.Conflict, store_errors.Refused) as error:
        raise Conflict(str(error)) from error
    except store_errors.StoreError as error:
        raise Unavailable(str(error), fix="`pilotage doctor` shows the state of the disk and the database") from error


def refused(error: PlanRefused | PolicyRefused) -> ServiceError:
    """Return the refusal that carries every reason against a plan, or a start; Denied where only the policy is it."""
    if error.problems and all(each.kind is FailureKind.POLICY for each in error.problems):
        happened = error.message if isinstance(error, PolicyRefused) else "there can be no plan"
        return Denied(
            f"{happened}: {error.problems[0].message}",
            fix=error.problems[0].fix,
            problems=[Fault.of_plan(each) for each in error.problems],
        )
    return Invalid(
        _count(len(error.problems), "reason", "there can be no plan: ", ""),
        problems=[Fault.of_plan(each) for each in error.problems],
        kind=error.problems[0].kind if error.problems else FailureKind.PARAMETER,
    )


def invalid(problems: Sequence[Problem]) -> Invalid:
    """Return the refusal that carries every problem of a blueprint."""
    return Invalid(
        _count(len(problems), "problem", "the blueprint has ", ""),
        problems=[Fault.of_blueprint(each) for each in problems],
        fix="mend the named places; `pilotage blueprint validate FILE` checks again",
    )


def _count(number: int, noun: str, before: str, after: str) -> str:
    return f"{before}{number} {noun}{'s' if number != 1 else ''}{after}"
