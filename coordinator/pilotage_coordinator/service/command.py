"""A command as a blueprint: `exec` runs under the same rules and leaves the same history as everything else."""

import json
from collections.abc import Sequence

FILE = "<command>"
ID = "command"
NAME_LENGTH = 60


def command_blueprint(argv: Sequence[str]) -> tuple[str, str]:
    """Return the text of an anonymous one-step blueprint that runs `argv`, and the name of its file.

    The arguments are a parameter's default, reached by one lone expression, so that nothing inside them is ever read
    as a template. JSON is YAML.
    """
    shown = " ".join(argv)
    return (
        json.dumps(
            {
                "pilotage": 1,
                "workflows": {
                    ID: {
                        "name": shown if len(shown) <= NAME_LENGTH else shown[: NAME_LENGTH - 1] + "…",
                        "version": "0.0.0",
                        "parameters": {"argv": {"type": "list", "items": "string", "default": list(argv)}},
                        "steps": [{"id": ID, "type": "command.run", "parameters": {"argv": "${{ parameters.argv }}"}}],
                    }
                },
            }
        ),
        FILE,
    )
