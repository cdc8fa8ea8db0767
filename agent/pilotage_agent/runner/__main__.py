"""Start the zygote: `python -m pilotage_agent.runner zygote FD`.

It imports next to nothing itself, so that it is there before the modules whose fork handlers are held back.
"""

import importlib
import os
import sys

from pilotage_agent.runner.fork_handlers import ForkHandlers


def main() -> None:
    """Import the zygote and be it."""
    os.environ.pop("LD_BIND_NOW", None)  # meant for this process only, see pool.py
    fork_handlers = ForkHandlers()
    with fork_handlers.held_back():
        zygote = importlib.import_module("pilotage_agent.runner.zygote")
    zygote.main(sys.argv[2:], fork_handlers)


if __name__ == "__main__":
    main()
