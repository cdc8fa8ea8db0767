"""Checks of compliance in lines: what was asked for, what was found, and what was looked at."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from pilotage_client.answers import BlueprintReport, ComplianceCheck, ComplianceFinding

from pilotage_coordinator.cli.moments import local
from pilotage_coordinator.cli.render.line import Line
from pilotage_coordinator.cli.render.plan_values import counted

STYLES: Final = {
    "passed": "green",
    "warned": "yellow",
    "blocked": "red",
    "nothing": "dim",
    "unknown": "red",
}
OUTCOMES: Final = {
    "passed": "keeps the rules",
    "warned": "does not keep all rules; nothing blocks it",
    "blocked": "may not be run",
    "nothing": "no rule is about it",
    "unknown": "could not be checked",
}
_RESULTS: Final = {"passed": "ok", "failed": "NO", "unknown": "NOT KNOWN"}
MOST_EVIDENCE: Final = 8


def finding_lines(findings: Sequence[ComplianceFinding], *, evidence: bool = True) -> Iterator[Line]:
    """Yield each finding, with what was looked at where it did not hold or `evidence` asks for all."""
    for each in findings:
        held = each["result"] == "passed"
        style = "green" if held else "red" if each["enforce"] == "block" else "yellow"
        yield Line(f"  {_RESULTS[each['result']]:9} {each['rule']}: {each['requirement']}", style)
        yield Line(f"            {each['message']}")
        if evidence or not held:
            yield from (Line(f"            {row}", "dim") for row in _evidence(each))
        if each["fix"]:
            yield Line(f"            {each['fix']}", "cyan")


def _evidence(finding: ComplianceFinding) -> Iterator[str]:
    rows = finding["evidence"]
    for row in rows[:MOST_EVIDENCE]:
        yield _row(row, finding["result"])
    more = len(rows) - MOST_EVIDENCE + finding["left_out"]
    if more > 0:
        yield f"… and {counted(more, 'more')}; --json has them" if not finding["left_out"] else f"… and {more} more"


def _row(row: Mapping[str, Any], result: str) -> str:
    parts = [f"{name} {value}" for name, value in row.items() if name != "result"]
    said = "" if row.get("result") == result else f" ({row.get('result')})"
    return ", ".join(parts) + said


def report_lines(report: BlueprintReport) -> Iterator[Line]:
    """Yield what a report says of one blueprint: how much, by which rules, and every check that did not pass."""
    started = {name: report[name] for name in ("passed", "warned", "nothing")}
    total = sum(started.values()) + report["unchecked"]
    yield Line(f"{report['blueprint']}  {counted(total, 'execution')}", "bold")
    yield Line(f"  {started['passed']} kept the rules, {started['warned']} did not keep all and were only warned about")
    if report["nothing"]:
        yield Line(f"  {report['nothing']} that no rule was about")
    if report["unchecked"]:
        yield Line(f"  {report['unchecked']} not checked: there were no rules of compliance then", "yellow")
    if report["blocked"]:
        yield Line(f"  kept from being planned or started: {counted(report['blocked'], 'time')}", "red")
    for rule in report["rules"]:
        style = "" if not rule["failed"] + rule["unknown"] else "yellow"
        text = f"  {rule['rule']}: held {rule['passed']}, did not {rule['failed']}, not known {rule['unknown']}"
        yield Line(text, style)
    for check in report["checks"]:
        if check["outcome"] in ("warned", "blocked") or check["decisions"]:
            yield from _check_lines(check)


def _check_lines(check: ComplianceCheck) -> Iterator[Line]:
    what = check["execution"] or f"nothing was started ({check['stage']})"
    yield Line("")
    yield Line(f"  {local(check['at'])}  {check['outcome']}  {what}", STYLES[check["outcome"]])
    asked = f"{check['principal']} ({check['principal_kind']})"
    yield Line(f"    asked for by {asked}, version {check['version']}, policy {check['policy']}")
    for decision in check["decisions"]:
        said = "approved" if decision["answer"] == "approve" else "refused"
        yield Line(f"    {said} by {decision['person']} at {local(decision['at'])} ({decision['approval']})")
    failed = [each for each in check["findings"] if each["result"] != "passed"]
    yield from (Line(f"  {line.text}", line.style) for line in finding_lines(failed))
