"""When each step ran and for how long, drawn to scale; of many, one line a host."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pilotage_client.answers import ExecutionDetail, StepRun

from pilotage_coordinator.cli.moments import seconds_between, span
from pilotage_coordinator.cli.render.line import Line
from pilotage_coordinator.cli.screen import WIDE, shortened, state_style

BAR = 40
"""Columns of the drawing, where there is room."""
LEAST_BAR = 10
MOST_LINES = 60
"""Step runs of several hosts that are told one by one; of more, each host gets one line."""
_BAD = ("failed", "unknown", "compensation_failed")
_MARKS = {
    "succeeded": "✓",
    "compensated": "↩",
    "skipped": "-",
    "not_run": "-",
    "running": "▸",
    "assigned": "▸",
    "pending": "·",
    "cancelled": "■",
    "cancelling": "■",
    "unknown": "?",
}


@dataclass(frozen=True, slots=True)
class Bar:
    """One line before it is laid out; seconds since the execution began, None = not yet."""

    host: str
    what: str
    state: str
    start: float | None
    end: float | None
    note: str = ""


def timeline(run: ExecutionDetail, width: int = WIDE, *, every: bool = True) -> Iterator[Line]:
    """Yield a line for each step run, or for each host when there are many and not `every` one must be seen."""
    hosts = {each["host"] for each in run["runs"]}
    by_host = not every and len(run["runs"]) > MOST_LINES and len(hosts) > 1
    bars = list(_hosts(run) if by_host else _steps(run))
    yield from laid_out(bars, seconds_between(run["started_at"], run["ended_at"]) or 0.0, width)
    if by_host:
        yield Line(f"  each step: pilotage run show {run['id']} --all, or with --host, --step, --state", "dim")
    if run["runs_omitted"]:
        yield Line(f"  … and {run['runs_omitted']} more step runs; choose with --host, --step and --state")
    yield Line("")


def laid_out(bars: Sequence[Bar], total: float, width: int) -> Iterator[Line]:
    """Yield lines of at most `width` columns. Where there is little room, states become marks and names lose their
    beginning; a drawing that would say nothing is left out."""
    total = max([0.001, total, *(each.end for each in bars if each.end is not None)])
    narrow = width < 110
    host_width = min(max((len(each.host) for each in bars), default=0), max(8, width // 4))
    what_width = max((len(each.what) for each in bars), default=0)
    state_width = 1 if narrow else 12
    fixed = 2 + host_width + 2 + 2 + state_width + 1 + 7 + 1 + 6 + 2
    what_width = max(8, min(what_width, width - fixed - (LEAST_BAR if width >= 70 else 0)))
    room = min(BAR, width - fixed - what_width)
    for each in bars:
        state = _MARKS.get(each.state, "✗") if narrow else each.state.replace("_", " ")
        begins = "+" + span(max(0.0, each.start)) if each.start is not None else ""
        took = span(each.end - each.start) if each.start is not None and each.end is not None else ""
        host, what = shortened(each.host, host_width), shortened(each.what, what_width, keep_end=True)
        drawn = _drawn(each, total, room) if room >= LEAST_BAR else ""
        text = f"  {host}  {what}  {state:<{state_width}} {begins:>7} {took:>6}  {drawn}"
        yield Line(text.rstrip() + (f"  {each.note}" if each.note else ""), state_style(each.state))


def step_of(run: StepRun) -> str:
    """Return a step with its item."""
    return f"{run['step']}[{run['item']}]" if run["item"] else run["step"]


def _steps(run: ExecutionDetail) -> Iterator[Bar]:
    began = run["started_at"]
    # What was read while planning and counts here has no times of its own, and came first.
    for each in sorted(run["runs"], key=lambda each: not _adopted(each)):
        start = seconds_between(began, each["started_at"])
        yield Bar(
            each["host"] or "—",
            step_of(each),
            each["state"],
            start,
            seconds_between(began, each["ended_at"]) if start is not None else None,
            _note(each),
        )


def _note(run: StepRun) -> str:
    if run["state"] == "pending" and run["waits_for"]:
        return f"waits: {run['detail'] or run['waits_for']}"
    if _adopted(run):
        return "while planning"
    return f"{run['attempts']} attempts" if run["attempts"] > 1 else ""


def _hosts(run: ExecutionDetail) -> Iterator[Bar]:
    began = run["started_at"]
    by_host: dict[str, list[StepRun]] = {}
    for each in run["runs"]:
        by_host.setdefault(each["host"] or "—", []).append(each)
    for host, runs in sorted(by_host.items()):
        starts = [at for each in runs if (at := seconds_between(began, each["started_at"])) is not None]
        ends = [at for each in runs if (at := seconds_between(began, each["ended_at"])) is not None]
        over = len([each for each in runs if each["ended_at"] or _adopted(each)]) == len(runs)
        counts = Counter(each["state"] for each in runs)
        told = ", ".join(f"{count} {state.replace('_', ' ')}" for state, count in counts.most_common())
        yield Bar(host, told, _worst(counts), min(starts, default=None), max(ends, default=None) if over else None)


def _worst(counts: "Counter[str]") -> str:
    bad = [state for state in _BAD if counts[state]]
    if bad:
        return bad[0]
    open_ = [state for state in counts if state in ("running", "assigned", "cancelling", "compensating", "pending")]
    return open_[0] if open_ else counts.most_common(1)[0][0]


def _adopted(run: StepRun) -> bool:
    return run["state"] == "succeeded" and not run["started_at"]


def _drawn(bar: Bar, total: float, room: int) -> str:
    if bar.start is None or bar.end is None:
        return ""
    left = min(room - 1, int(max(0.0, bar.start) / total * room))
    width = max(1, min(room - left, round((bar.end - bar.start) / total * room)))
    return " " * left + "━" * width
