"""What is wrong with a blueprint: every problem at once, each with its place and its cure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from pilotage_coordinator.domain.blueprint.position import NOWHERE, Path, Position, write_path
from pilotage_coordinator.domain.errors import DomainError

MOST_PROBLEMS = 100
"""A file with more is not read to its end: the first hundred tell the story."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong. `path` is where in the tree (`workflows.x.steps[2].timeout`); it and `hint` may be
    empty."""

    file: str
    line: int
    column: int
    path: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        """Return one line: place, path, message, hint."""
        place = f"{self.file}:{self.line}:{self.column}: " if self.line else f"{self.file}: "
        path = f"{self.path}: " if self.path else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{place}{path}{self.message}{hint}"


class BlueprintError(DomainError):
    """A blueprint, or what was given to one, is refused. `problems` holds all that was found, in file order."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(each) for each in self.problems))


@dataclass(slots=True)
class Problems:
    """The problems found so far in one file."""

    file: str
    found: list[Problem] = field(default_factory=list)

    def add(self, at: Position, path: Path, message: str, hint: str = "") -> None:
        """Note one problem. Raises BlueprintError when there are so many that reading on helps nobody."""
        self.take(Problem(self.file, at.line, at.column, write_path(path), message, hint))

    def take(self, problem: Problem) -> None:
        """Note one that was made elsewhere; raises like `add`."""
        if len(self.found) >= MOST_PROBLEMS:
            self.refuse()
        self.found.append(problem)

    def refuse(self) -> None:
        """Raise BlueprintError when any problem was found."""
        if self.found:
            ordered = sorted(self.found, key=lambda each: (each.line, each.column))
            raise BlueprintError(tuple(dict.fromkeys(ordered)))


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `did you mean `x`?` for the nearest known name, or what is known when the list is short, or nothing."""
    names = sorted(set(known))
    near = get_close_matches(name[:80], names[:2000], n=1, cutoff=0.6)
    if near:
        return f"did you mean `{near[0]}`?"
    if 0 < len(names) <= 12:
        return "known: " + ", ".join(names)
    return ""


def at_nowhere(file: str, message: str, hint: str = "") -> BlueprintError:
    """Return the error for a file that cannot be read at all."""
    return BlueprintError((Problem(file, NOWHERE.line, NOWHERE.column, "", message, hint),))
