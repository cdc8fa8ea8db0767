"""Compose projects: containers that belong together, described by one file. `docker compose` does the work."""

from typing import Final

from pilotage_plugins.compose.down import ComposeDown
from pilotage_plugins.compose.listing import ComposeConfig, ComposeList
from pilotage_plugins.compose.pull import ComposePull
from pilotage_plugins.compose.up import ComposeUp

COMPOSE_STEP_TYPES: Final = (ComposeList, ComposeConfig, ComposePull, ComposeUp, ComposeDown)
