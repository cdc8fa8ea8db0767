"""Why a schedule cannot be what somebody asks for."""

from pilotage_coordinator.domain.errors import DomainError


class ScheduleRefused(DomainError):
    """An expression, a zone or a time that cannot be; the text says why, `fix` what to write instead."""

    def __init__(self, message: str, fix: str = "") -> None:
        super().__init__(message)
        self.fix = fix
