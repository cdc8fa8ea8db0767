"""Step types that behave as their parameters say, for tests: one of each effect."""

from typing import Final

from pilotage_plugins.dummy.step_types import DummyIdempotent, DummyOnce, DummyProbe, DummyRead

DUMMY_STEP_TYPES: Final = (DummyRead, DummyIdempotent, DummyProbe, DummyOnce)
