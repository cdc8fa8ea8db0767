"""Schedules and their times on the screen."""

import json
from collections.abc import Sequence

from pilotage_client.answers import FiringAnswer, ScheduleAnswer, UpcomingTime

Table = tuple[tuple[str, ...], list[tuple[str, ...]]]


def schedule_lines(row: ScheduleAnswer) -> list[str]:
    """Return what there is to say of one schedule."""
    facts = [
        ("schedule", f"{row['name']} ({row['id']})"),
        ("state", row["state"] + (f": {row['note']}" if row["note"] else "")),
        ("when", row["words"]),
        ("next run", f"{row['next_run_local']} ({row['timezone']})" if row["next_run"] else "none"),
        ("owner", f"{row['owner']}, with whose rights it runs"),
        ("blueprint", row["blueprint"]),
        *((f"  {name}", json.dumps(value, ensure_ascii=False)) for name, value in sorted(row["parameters"].items())),
        ("hosts", ", ".join(row["hosts"]) + (f" ({row['limit_to']})" if row["limit_to"] else "")),
        ("overlap", row["overlap"]),
        ("catch-up", row["catchup"]),
        ("jitter", f"{row['jitter']}: always {row['delay']} later" if row["jitter"] != "0s" else ""),
        ("executions", f"{row['runs']}" + (f" of {row['count']}" if row["count"] else "")),
        ("on failure", "it pauses" if row["pause_on_failure"] else ""),
        ("reason", row["reason"]),
        ("reference", row["reference"]),
        ("class", row["change_class"] or ""),
    ]
    return [f"{name:<12}{value}" for name, value in facts if value]


def firing_rows(rows: Sequence[FiringAnswer]) -> Table:
    """Return columns and rows of a table of firings."""
    return ("TIME", "OUTCOME", "EXECUTION", "STATE", "WHY"), [
        (row["local"], row["outcome"], row["execution"], row["execution_state"], row["reason"]) for row in rows
    ]


def upcoming_rows(rows: Sequence[UpcomingTime]) -> Table:
    """Return columns and rows of a table of times to come."""
    return ("RUNS AT", "ZONE", "SCHEDULE", "BLUEPRINT", "NOTE"), [
        (row["local"], row["timezone"], row["name"], row["blueprint"], row["note"]) for row in rows
    ]
