"""Templates: what they see, what they may do, and how their faults are told."""

import os
import subprocess
import sys
from typing import Any

import pytest
from pilotage_plugin_api import Action, Refused, StepCancelled, StepFailed, TargetFailed
from pilotage_plugin_api.testing import Harness
from pilotage_plugins.file.rendering import LARGEST_RESULT, render
from pilotage_plugins.file.template import FileTemplate

SERVERS = "{% for s in servers %}\n  server {{ s.name }} {{ s.name }}:{{ port }}\n{% endfor %}\nend\n"
VALUES = {"servers": [{"name": "web1"}, {"name": "web2 <&>"}], "port": 8080}


def rendered(template: str, **values: Any) -> str:
    return render("a.j2", template, values, lambda: None)


def test_values_fill_it_and_nothing_is_escaped() -> None:
    assert rendered(SERVERS, **VALUES) == "  server web1 web1:8080\n  server web2 <&> web2 <&>:8080\nend\n"
    assert rendered("{{ x | default('none') }}\n") == "none\n"
    assert rendered("{% if x is defined %}{{ x }}{% endif %}-") == "-"


def test_what_values_hold_is_never_read_as_a_template() -> None:
    assert rendered("{{ x }}", x="{{ y }}{% endif %}") == "{{ y }}{% endif %}"


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("a\nb {{ ports }}\n", "line 2: 'ports' is undefined; give it in `values`"),
        ("{{ x.name }}", "line 1: 'dict object' has no attribute 'name'"),
        ("a\n{% for x in y %}\n", "cannot be read, line 2"),
        ("{% include 'other' %}", "asks for 'other': templates stand alone"),
        ("{{ servers | random }}", "No filter named 'random'"),
        ("{{ lipsum() }}", "'lipsum' is undefined"),
    ],
)
def test_a_template_that_cannot_work_is_refused(template: str, problem: str) -> None:
    with pytest.raises(Refused) as refused:
        rendered(template, x={})
    assert problem in str(refused.value)
    assert "a.j2" in str(refused.value)


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("\n{{ nothing }}", "line 2: null has no place inside a text"),
        ("{{ 1 / 0 }}", "line 1: division by zero"),
        ("{{ 'a' + 1 }}", "line 1"),
        ("{% for i in range(1000000000) %}{% endfor %}", "Range too big"),
        ("{% for i in range(2000) %}{{ 'a' * 1024 }}{% endfor %}", f"more than {LARGEST_RESULT} bytes"),
        ("{{ ''.__class__.__mro__ }}", "unsafe"),
        ("{{ x.update({'a': 1}) }}", "unsafe"),
        ("{{ '\\ud800' }}", "no UTF-8"),
    ],
)
def test_a_template_that_fails_says_where(template: str, problem: str) -> None:
    with pytest.raises((StepFailed, Refused)) as failed:
        rendered(template, nothing=None, x={})
    assert problem in str(failed.value)


def test_a_loop_that_never_ends_hears_that_it_is_cancelled() -> None:
    def checkpoint() -> None:
        raise StepCancelled("the attempt was cancelled")

    with pytest.raises(StepCancelled):
        render("a.j2", "{% for i in range(100000) %}{{ i }}{% endfor %}", {}, checkpoint)


def test_it_is_placed_like_a_written_file(harness: Harness) -> None:
    path = harness.sandbox / "backends.cfg"
    path.write_text("server old\n")
    path.chmod(0o600)
    params = {"path": str(path), "file": {"name": "b.j2", "text": SERVERS}, "values": VALUES, "mode": "0640"}
    change = harness.preview(FileTemplate(), params).changes[0]
    assert change.action is Action.UPDATE
    assert "-server old\n+  server web1 web1:8080" in (change.after or "")
    outputs = harness.run(FileTemplate(), params)
    assert (path.read_text().splitlines()[-1], path.stat().st_mode & 0o777) == ("end", 0o640)
    assert harness.preview(FileTemplate(), params).changes[0].action is Action.NONE
    harness.undo(FileTemplate(), params, outputs)
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("server old\n", 0o600)


def test_a_program_judges_what_was_made_of_it(harness: Harness) -> None:
    path = harness.sandbox / "x"
    params = {"path": str(path), "template": "{{ a }}=1\n", "values": {"a": "b"}}
    with pytest.raises(StepFailed, match="does not accept"):
        harness.run(FileTemplate(), {**params, "validate_with": ["grep", "-q", "zz", "{}"]})
    assert not path.exists()
    harness.run(FileTemplate(), {**params, "validate_with": ["grep", "-q", "b=1", "{}"]})


def test_a_missing_value_changes_nothing(harness: Harness) -> None:
    path = harness.sandbox / "x"
    params = {"path": str(path), "file": {"name": "b.j2", "text": SERVERS}, "values": {"port": 1}}
    for call in (harness.run, harness.preview):
        with pytest.raises(Refused, match=r"b\.j2, line 1: 'servers' is undefined"):
            call(FileTemplate(), params)
    assert list(harness.sandbox.iterdir()) == []


@pytest.mark.skipif(os.path.isdir("/run/systemd/system"), reason="this machine is run by systemd")  # noqa: PTH112
def test_a_reload_that_cannot_be_is_refused_before_anything_changes(harness: Harness) -> None:
    path = harness.sandbox / "x"
    params = {"path": str(path), "template": "a", "then": {"reload": "nginx"}}
    with pytest.raises(TargetFailed, match=r"nginx\.service cannot be reloaded"):
        harness.run(FileTemplate(), params)
    assert not path.exists()


def test_the_library_is_loaded_by_the_step_alone() -> None:
    program = "import sys, pilotage_plugins; print('jinja2' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False"
