"""The short way into `coordinator serve`, and that it is the same command as the long one."""

from inspect import signature

import pytest
from pilotage_coordinator.cli.commands.serve import serve
from pilotage_coordinator.cli.entry import OPTIONS, plain_serve


@pytest.mark.parametrize(
    ("line", "options"),
    [
        ("coordinator serve", {}),
        ("--socket /s coordinator serve", {"socket": "/s"}),
        ("coordinator serve --socket=/s", {"socket": "/s"}),
        ("coordinator serve --state-dir /a --log-level=debug", {"state_dir": "/a", "log_level": "debug"}),
        ("coordinator serve --advertise a --advertise b", {"advertise": "b"}),
        ("coordinator serve --advertise=", {"advertise": ""}),
    ],
)
def test_a_plain_serve_goes_straight_to_the_coordinator(line: str, options: dict[str, str]) -> None:
    assert plain_serve(line.split()) == options


@pytest.mark.parametrize(
    "line",
    [
        "",
        "up",
        "coordinator",
        "coordinator status",
        "coordinator serve --help",
        "coordinator serve more",
        "coordinator serve --unknown 1",
        "coordinator serve --state-dir",
        "coordinator serve --state-dir --log-level debug",
        "coordinator --state-dir /a serve",
        "--json coordinator serve",
        "coordinator serve -- x",
        "exec -l name=a -- coordinator serve",
        "coordinator serve --after-restore",
    ],
)
def test_everything_else_goes_to_the_command_line_proper(line: str) -> None:
    assert plain_serve(line.split()) is None


def test_both_ways_know_the_same_options() -> None:
    # Needed once in a while: such a start goes through the command line proper.
    declared = set(signature(serve).parameters) - {"context", "after_restore", "accept_audit_fault"}
    assert declared | {"socket"} == set(OPTIONS.values())
    assert {f"--{name.replace('_', '-')}" for name in OPTIONS.values()} == set(OPTIONS)
