"""Running the agent as a program: logging, exit codes, and errors in one line."""

import asyncio
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pilotage_agent.agent import run_agent
from pilotage_agent.config import load_config
from pilotage_agent.errors import AgentError, ConfigRefused, NotEnrolled, StateLocked

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2


def serve(config_file: Path | None, state_dir: Path | None, environment: Mapping[str, str]) -> int:
    """Run the agent until it is told to stop; returns the exit code."""
    try:
        config = load_config(config_file, state_dir, environment)
        set_up_logging(config.log_level, under_systemd="JOURNAL_STREAM" in environment)
        asyncio.run(run_agent(config, environment))
    except (ConfigRefused, NotEnrolled, StateLocked) as error:
        sys.stderr.write(f"pilotage-agent: {error}\n")
        return EXIT_USAGE
    except AgentError as error:
        sys.stderr.write(f"pilotage-agent: {error}\n")
        return EXIT_FAILED
    return EXIT_OK


def set_up_logging(level: str, *, under_systemd: bool) -> None:
    """Log to standard error; the journal of systemd has its own clock."""
    form = "%(levelname)s %(name)s: %(message)s" if under_systemd else "%(asctime)s %(levelname)s %(name)s: %(message)s"
    logging.basicConfig(stream=sys.stderr, level=level.upper(), format=form)
