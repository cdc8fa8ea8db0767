"""`python -m pilotage_agent`: the long-running agent, without what only the command line needs."""

import argparse
import os
import sys
from pathlib import Path

from pilotage_agent.service import serve


def main(arguments: list[str]) -> int:
    """Run the agent in the foreground; returns the exit code."""
    parser = argparse.ArgumentParser(prog="pilotage-agent run", description="Run the agent in the foreground.")
    parser.add_argument("--state-dir", type=Path, default=None, help="where the agent keeps its identity and journal")
    parser.add_argument("--config", type=Path, default=None, help="settings file (agent.toml)")
    chosen = parser.parse_args(arguments)
    return serve(chosen.config, chosen.state_dir, os.environ)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
