"""Times as the engine takes them."""

import math
from datetime import timedelta


def whole_seconds(duration: timedelta | None) -> int | None:
    """Return whole seconds, rounded up: a stop timeout of half a second is no kill at once. None stays None."""
    return None if duration is None else math.ceil(duration.total_seconds())
