"""The authorization matrix of docs/governance.md, made from the rows of the operations and the built-in roles.

`python -m tests.unit.access.matrix` writes it anew; a test compares, and another asks the operations themselves.
"""

from pathlib import Path

from pilotage_coordinator.domain.access.grant import Grant, might
from pilotage_coordinator.domain.access.principal import PrincipalKind
from pilotage_coordinator.domain.access.role import BUILT_IN
from pilotage_coordinator.service.operations import OPERATIONS, About, Operation

PAGE = Path(__file__).parents[3] / "docs" / "governance.md"
BEGIN = "<!-- matrix: made by `python -m tests.unit.access.matrix`; change the rows, not this part -->\n"
END = "<!-- end of the matrix -->\n"

OWNED = frozenset({About.RUN, About.NOTIFICATION, About.PRINCIPAL, About.TOKEN, About.SCHEDULE, About.MANY})
"""What can be somebody's own."""
ALWAYS_OWN = frozenset({About.FOUND})
"""What is the caller's own because the caller makes it."""


def kind_of(role: str) -> PrincipalKind:
    """Return the kind of principal that a role is meant for."""
    return PrincipalKind.ASSISTANT if role == "assistant" else PrincipalKind.PERSON


def cell(row: Operation, role: str) -> str:
    """Return `yes`, `own` or nothing: what a role gives of an operation."""
    kind, grants = kind_of(role), (Grant(BUILT_IN[role]),)
    if might(kind, grants, row.permission, own=False):
        return "yes"
    if not might(kind, grants, row.permission, own=True):
        return ""
    return "yes" if row.about in ALWAYS_OWN else "own" if row.about in OWNED else ""


def table() -> str:
    """Return the matrix as a table."""
    head = f"| operation | permission | {' | '.join(BUILT_IN)} |\n|---|---|{'---|' * len(BUILT_IN)}\n"
    return head + "".join(
        f"| {row.name} | {row.permission} | {' | '.join(cell(row, role) for role in BUILT_IN)} |\n"
        for row in OPERATIONS.values()
    )


def page(text: str) -> str:
    """Return the page with its matrix made anew."""
    before, _, rest = text.partition(BEGIN)
    return before + BEGIN + "\n" + table() + "\n" + END + rest.partition(END)[2]


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
