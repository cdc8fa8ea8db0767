"""What a running execution looks like: the fold of what is watched, as lines for a log and as a table that moves.

The board keeps one row for each host: what it does now, and how the rest went.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from pilotage_client.answers import Event, Progress, Watched

from pilotage_coordinator.cli.moments import parse, seconds_between, span
from pilotage_coordinator.cli.render.line import Line

BAD = frozenset({"failed", "unknown", "compensation_failed"})
COORDINATOR = "coordinator"


@dataclass(slots=True)
class Active:
    """A step run that is under way on a host."""

    step: str
    since: str
    begun: bool = False
    """Its agent has said that it started."""
    fraction: float | None = None
    text: str = ""


@dataclass(slots=True)
class HostRow:
    """One host: what runs on it now, and how many of its steps ended in which way."""

    host: str
    active: dict[str, Active] = field(default_factory=dict)
    step: str = ""
    """What ended or was held last, and `state`, how."""
    state: str = "pending"
    done: int = 0
    bad: int = 0


@dataclass(slots=True)
class Board:
    """The execution as watched so far."""

    state: str = "pending"
    reason: str = ""
    started_at: str = ""
    hosts: dict[str, HostRow] = field(default_factory=dict)
    step_width: int = 0
    """The widest step that was ever drawn."""
    gates: dict[str, str] = field(default_factory=dict)
    """Open gates: name to prompt."""
    approvals: dict[str, str] = field(default_factory=dict)
    """Gates at which people are asked: name to the request's id."""
    unknown: dict[tuple[str, str, str], str] = field(default_factory=dict)
    """Step, host and item of runs that nobody knows the end of, to why."""
    _errors: list[str] = field(default_factory=list)
    """What step runs failed of, which has been told."""

    def expect(self, hosts: Iterable[str]) -> None:
        """Keep a row for hosts of which nothing has been heard yet."""
        for host in hosts:
            self._row(host)

    def take(self, watched: Watched) -> list[Line]:
        """Take what was watched; return what a plain log says of it."""
        for progress in watched["progress"]:
            self._progress(progress)
        event = watched["event"]
        return list(self._event(event)) if event is not None else []

    def _progress(self, progress: Progress) -> None:
        active = self._row(progress["host"]).active.get(_step(progress["step"], progress["item"]))
        if active is not None:
            active.fraction, active.text = progress["fraction"], progress["text"]

    def _event(self, event: Event) -> Iterator[Line]:
        data = event["data"]
        match event["type"]:
            case "execution_begun":
                self.started_at = event["at"]
            case "execution_moved":
                self.state, self.reason = data["to"], data.get("reason", "")
                # The step's own line has told the error already; a page of it twice hides what comes after.
                told = next((each for each in self._errors if each in self.reason), None)
                reason = self.reason.replace(told, "").rstrip(" :") if told else self.reason
                because = f": {reason}" if reason else ""
                yield self._line(event, "", f"execution is {_words(self.state)}{because}", _tone(self.state))
            case "attempt_planned":
                yield from self._planned(event)
            case "attempt_begun":
                active = self._row(data["host"]).active.get(_label(data))
                if active is not None:
                    active.begun, active.since = True, event["at"]
            case "attempt_finished":
                yield from self._finished(event)
            case "runs_settled" | "compensation_settled":
                yield from self._settled(event)
            case "run_held":
                row = self._row(data["host"])
                row.step, row.state = _step(data["path"], data["item"]), f"waits ({data['reason']})"
                yield self._line(event, data["host"], f"{row.step} waits: {_words(data['reason'])}", "dim")
            case "approval_asked" | "approval_voted" | "approval_ended" | "approval_escalated":
                yield from self._approval(event)
            case "gate_opened" | "batch_held" | "gate_answered":
                yield from self._gate(event)
            case "unknown_settled":
                self.unknown.pop((data["path"], data["host"], data["item"]), None)
                text = f"{_step(data['path'], data['item'])} counts as {data['as_']}, says {data['by']}"
                yield self._line(event, data["host"], text, "magenta")
            case _:
                yield from self._other(event)

    def _planned(self, event: Event) -> Iterator[Line]:
        data = event["data"]
        label = _label(data)
        self._row(data["host"]).active[label] = Active(label, event["at"])
        verb = "undoes" if data["kind"] == "undo" else "runs"
        again = f" (attempt {data['attempt']})" if data["attempt"] > 1 else ""
        line = self._line(event, data["host"], f"{verb} {_step(data['path'], data['item'])}{again}", "")
        yield line._replace(passing=data["attempt"] == 1)

    def _finished(self, event: Event) -> Iterator[Line]:
        data = event["data"]
        row = self._row(data["host"])
        step, becomes = _step(data["path"], data["item"]), data["becomes"]
        row.active.pop(_label(data), None)
        row.step, row.state = step, becomes
        lasted = (data.get("ended_at", 0) - data.get("started_at", 0)) / 1e6
        took = f" in {span(lasted)}" if data.get("started_at") and lasted >= 0 else ""
        if becomes == "pending":
            again = ", will be tried again" if data.get("retry_at") else ""
            yield self._line(event, data["host"], f"{step} {data['outcome']}{took}{again}{_why(data)}", "yellow")
            return
        row.done += becomes not in BAD
        row.bad += becomes in BAD
        if becomes in BAD and data.get("error"):
            self._errors.append(data["error"])
        if becomes == "unknown":
            self.unknown[data["path"], data["host"], data["item"]] = data.get("error", "")
        yield self._line(event, data["host"], f"{step} {_words(becomes)}{took}{_why(data)}", _tone(becomes))

    def _settled(self, event: Event) -> Iterator[Line]:
        data = event["data"]
        for path, host, item in data["runs"]:
            row = self._row(host)
            row.done += data["status"] not in BAD
            row.bad += data["status"] in BAD
            because = f": {data['reason']}" if data.get("reason") else ""
            yield self._line(
                event, host, f"{_step(path, item)} {_words(data['status'])}{because}", _tone(data["status"])
            )

    def _approval(self, event: Event) -> Iterator[Line]:
        data = event["data"]
        match event["type"]:
            case "approval_asked":
                gate = data["gate"]
                who = ", ".join(gate.get("of") or ()) or "those who may decide"
                self.gates.pop(data["name"], None)
                self.approvals[data["name"]] = data["request"]
                yield self._line(
                    event,
                    data["host"] if data["scope"] == "run" else "",
                    f"{data['request']} asks {gate.get('required', 1)} of {who} to approve: {data.get('prompt', '')}",
                    "yellow",
                )
            case "approval_escalated":
                yield self._line(event, "", f"{data['request']} now asks {', '.join(data['of'])}", "yellow")
            case "approval_voted":
                verb = "approves" if data["answer"] == "approve" else "rejects"
                comment = f": {data['comment']}" if data.get("comment") else ""
                yield self._line(event, "", f"{data['by']} {verb} {data['request']}{comment}", "cyan")
            case _:
                self.approvals.pop(data["name"], None)
                yield self._line(event, "", f"{data['request']} is {data['outcome']}: {data.get('reason', '')}", "cyan")

    def _gate(self, event: Event) -> Iterator[Line]:
        data = event["data"]
        match event["type"]:
            case "gate_opened":
                self.gates[data["name"]] = data.get("prompt", "")
                prompt = f": {data['prompt']}" if data.get("prompt") else ""
                yield self._line(event, data["host"], f"gate {data['name']} waits to be released{prompt}", "yellow")
            case "batch_held" if data.get("gate"):
                self.gates[data["gate"]] = f"the next batch of {data['path']}"
                yield self._line(event, "", f"gate {data['gate']} waits to be released", "yellow")
            case "gate_answered":
                self.gates.pop(data["name"], None)
                yield self._line(event, "", f"gate {data['name']} was {data['outcome']} by {data['by']}", "cyan")

    def _other(self, event: Event) -> Iterator[Line]:
        data = event["data"]
        match event["type"]:
            case "pause_asked":
                by = f" by {data['by']}" if data["by"] else ""
                yield self._line(event, "", f"pause asked{by}: {data['reason'] or 'no reason given'}", "yellow")
            case "resume_asked":
                yield self._line(event, "", f"resumed by {data['by']}", "cyan")
            case "frame_halted" if not data["path"]:
                yield self._line(event, "", f"nothing new starts ({data['cause']}): {data['reason']}", "yellow")
            case "rollout_ended":
                yield self._line(event, "", f"rollout of {data['path']} ends: {data['reason']}", "red")
            case "batch_opened":
                yield self._line(event, "", f"batch {data['number']} of {data['path']}", "bold")
            case "rollback_begun":
                yield self._line(event, "", f"rolling back: {data['reason']}", "yellow")
            case "execution_reopened":
                what = f"from {data['step']}" if data.get("step") else "what failed"
                yield self._line(event, "", f"{data['by']} runs {what} again", "cyan")

    def _row(self, host: str) -> HostRow:
        name = host or COORDINATOR
        if name not in self.hosts:
            self.hosts[name] = HostRow(name)
        return self.hosts[name]

    def _line(self, event: Event, host: str, text: str, style: str) -> Line:
        moment = parse(event["at"])
        passed = seconds_between(self.started_at, event["at"]) or 0.0
        clock = f"{int(passed) // 60:02d}:{int(passed) % 60:02d}" if moment else "--:--"
        return Line(f"{clock} {host + ': ' if host else ''}{text}", style)


def _label(data: dict[str, Any]) -> str:
    """Return what tells an attempt from the others of its host."""
    step = _step(data["path"], data["item"])
    return f"undo {step}" if data.get("kind") == "undo" else step


def _step(path: str, item: str) -> str:
    return f"{path}[{item}]" if item else path


def _words(state: str) -> str:
    return state.replace("_", " ")


def _why(data: dict[str, object]) -> str:
    return f": {data['error']}" if data.get("error") else ""


def _tone(state: str) -> str:
    if state in BAD or state in ("needs_attention", "rollback_incomplete"):
        return "bold red"
    if state in ("succeeded", "completed", "compensated"):
        return "green"
    return "yellow" if state in ("not_run", "cancelled", "paused", "waiting_approval", "rolled_back") else ""
