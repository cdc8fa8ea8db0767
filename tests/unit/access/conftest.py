"""What the tests of access share."""

from tests.unit.service.conftest import desk

__all__ = ["desk"]
