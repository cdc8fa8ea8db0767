"""Retention: removing old executions in pieces that other writes need not wait long for."""

import sqlite3

from pilotage_coordinator.store.database import Work
from pilotage_coordinator.store.records import Pruned
from pilotage_coordinator.store.sqlite.queries import Queries

_CHILDREN = ("events_prune", "attempts_prune", "step_runs_prune", "deliveries_prune")
_EXECUTIONS_AT_ONCE = 200


def prune(queries: Queries, ended_before: int, most_rows: int) -> Work[Pruned]:
    """Return the work that removes about `most_rows` rows of executions that ended before a time."""

    def work(connection: sqlite3.Connection) -> Pruned:
        old = connection.execute(
            queries["executions_prunable"], {"before": ended_before, "limit": _EXECUTIONS_AT_ONCE + 1}
        ).fetchall()
        removed: list[str] = []
        rows = 0
        for execution, plan in old[:_EXECUTIONS_AT_ONCE]:
            if rows >= most_rows:
                break
            gone, done = _prune_children(connection, queries, execution, most_rows - rows)
            rows += gone
            if not done:
                break
            # A request has few decisions, and an execution few requests.
            connection.execute(queries["decisions_prune"], {"execution": execution})
            connection.execute(queries["approvals_prune"], {"execution": execution})
            connection.execute(queries["inputs_remove"], (execution,))
            connection.execute(queries["closing_remove"], (execution,))
            connection.execute(queries["execution_secrets_remove"], {"execution": execution})
            connection.execute(queries["execution_remove"], (execution,))
            rows += 2 + connection.execute(queries["plan_remove_unused"], {"digest": plan}).rowcount
            removed.append(execution)
        left = len(old) > len(removed)
        if not left and rows < most_rows:
            rows, left = _prune_plans(connection, queries, ended_before, rows, most_rows)
        return Pruned(executions=tuple(removed), rows=rows, more=left or rows >= most_rows)

    return work


def _prune_children(connection: sqlite3.Connection, queries: Queries, execution: str, most: int) -> tuple[int, bool]:
    """Remove up to `most` rows that belong to an execution; return how many, and whether none is left."""
    rows = 0
    for query in _CHILDREN:
        wanted = most - rows
        gone = connection.execute(queries[query], {"execution": execution, "limit": wanted}).rowcount
        rows += gone
        if gone == wanted:
            return rows, False
    return rows, True


def _prune_plans(
    connection: sqlite3.Connection, queries: Queries, before: int, rows: int, most: int
) -> tuple[int, bool]:
    wanted = most - rows
    unused = connection.execute(queries["plans_never_run"], {"before": before, "limit": wanted}).fetchall()
    for (digest,) in unused:
        connection.execute(queries["plan_remove_unused"], {"digest": digest})
    return rows + len(unused), len(unused) == wanted
