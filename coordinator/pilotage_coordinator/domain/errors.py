"""The root of every error that the domain raises."""


class DomainError(Exception):
    """Something in the domain was refused; the text says what, where, and how to fix it."""


class ValueRefused(DomainError):
    """A written value (a duration, a size, a percentage) cannot be read."""
