"""The program `docker compose` for tests: the machine's own, or the one that tools/setup unpacked."""

import json
import os
import subprocess
from pathlib import Path
from typing import Final

UNPACKED: Final = Path(__file__).parents[3] / ".tools/root/usr/libexec/docker/cli-plugins"


def docker_config(folder: Path) -> str:
    """Make a folder of docker's settings in which it finds the plugin; returns it, for DOCKER_CONFIG."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"cliPluginsExtraDirs": [str(UNPACKED)]}))
    return str(folder)


def why_no_compose(config: str) -> str:
    """Say why docker has no plugin compose here; empty when it has."""
    try:
        told = subprocess.run(
            ["docker", "compose", "version"],
            env={**os.environ, "DOCKER_CONFIG": config},
            capture_output=True,
            text=True,
        )
    except FileNotFoundError:
        return "there is no program docker: tools/setup daemons docker.io"
    said = told.stdout + told.stderr
    return (
        "" if "version v2" in said or "version 2" in said else f"tools/setup newer docker-compose ({said.strip()[:80]})"
    )
