"""What can go wrong between a client and its coordinator."""

from typing import TypedDict


class Problem(TypedDict):
    """One thing that is wrong with a request. Empty fields say nothing; lines and columns count from 1."""

    message: str
    fix: str
    file: str
    line: int
    column: int
    path: str
    host: str
    kind: str


class ClientError(Exception):
    """The root of this package's errors. `fix` says what to do; it may be empty."""

    def __init__(self, detail: str, fix: str = "") -> None:
        super().__init__(detail)
        self.detail = detail
        self.fix = fix


class CoordinatorUnreachable(ClientError):
    """No coordinator answers there, or it stopped answering; nothing may be assumed about the request."""


class RequestRefused(ClientError):
    """The coordinator refused the request; nothing was changed unless `status` is 500."""

    def __init__(self, status: int, detail: str, fix: str, kind: str, problems: list[Problem]) -> None:
        super().__init__(detail, fix)
        self.status = status
        self.kind = kind
        """`parameter`, `target`, `policy`, `approval`, `step` or `infrastructure`."""
        self.problems = problems


class Denied(RequestRefused):
    """The caller may not do this."""
