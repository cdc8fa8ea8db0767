"""`python -m pilotage_coordinator.cli`: how `up` starts the coordinator as a program of its own."""

from pilotage_coordinator.cli.entry import main

if __name__ == "__main__":
    main()
