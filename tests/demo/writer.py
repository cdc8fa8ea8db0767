"""A program that keeps writing to a database until its parent goes away: `python -m tests.demo.writer FILE`."""

import os
import sqlite3
import sys
import time

from tests.demo.data import book

PAUSE_SECONDS = 0.005


def main() -> None:
    """Book one entry after another, each in a transaction of its own."""
    parent = os.getppid()
    connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
    amount = 0
    while os.getppid() == parent:
        amount += 1
        connection.execute("BEGIN IMMEDIATE")
        book(connection, amount % 997, f"written at {time.time_ns()}")
        connection.execute("COMMIT")
        time.sleep(PAUSE_SECONDS)


if __name__ == "__main__":
    main()
