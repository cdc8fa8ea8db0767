"""Playbooks with a real ansible-core: check mode that only reads, variables that no disk sees, ends that are told."""

import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pilotage_plugin_api import InfrastructureFailed, Refused, StepFailed, TargetFailed
from pilotage_plugin_api.testing import Conformance, Harness, Sample
from pilotage_plugins.ansible.playbook import AnsiblePlaybook

pytestmark = pytest.mark.integration

BIN = Path(sys.executable).parent
TOKEN = b"canary-7741"
PLAYBOOK = AnsiblePlaybook()


def play(*tasks: str, hosts: str = "all") -> str:
    return f"- hosts: {hosts}\n  gather_facts: false\n  tasks:\n" + "".join(f"    - {task}\n" for task in tasks)


class TestAnsiblePlaybookConforms(Conformance):
    step_type = PLAYBOOK

    def sample(self, sandbox: Path) -> Sample:
        copy = f"copy: {{content: '{{{{ word }}}}', dest: '{sandbox}/made', mode: '0600'}}"
        use = "{name: use it, no_log: true, assert: {that: token | length == 11}}"
        given = {"vars": {"word": "hello"}, "secret_vars": {"token": "secret://token"}}
        return Sample(
            {"playbook": play(use, copy), **given},
            secrets={"token": TOKEN},
            long={"playbook": play("command: sleep 60"), **given},
        )


def test_the_preview_shows_differences_and_says_what_it_cannot_know(harness: Harness) -> None:
    path = harness.sandbox / "motd"
    path.write_text("old\n")
    tasks = [
        f"{{name: greet, copy: {{content: \"new\\n\", dest: '{path}'}}}}",
        f"{{name: tool, command: touch '{harness.sandbox}/tool'}}",
        f"{{name: real, command: touch '{harness.sandbox}/real', check_mode: false}}",
        "{name: after, debug: {msg: never}}",
    ]
    preview = harness.preview(PLAYBOOK, {"file": {"name": "site.yml", "text": play(*tasks)}})
    (change,) = preview.changes
    assert change.subject == "localhost: greet"
    assert "-old\n+new" in (change.after or "")
    assert "do not support check mode: tool" in preview.note
    assert "ends before the task 'real'" in preview.note
    assert not preview.complete
    assert [entry.name for entry in harness.sandbox.iterdir()] == ["motd"]
    assert path.read_text() == "old\n"


@pytest.mark.parametrize(
    "text",
    [
        "- hosts: all\n  gather_facts: false\n  check_mode: false\n  tasks: [{name: real, command: touch DIR/real}]\n",
        "- hosts: all\n  gather_facts: false\n  tasks:\n"
        "    - include_tasks: {file: DIR/inner.yml, apply: {check_mode: false}}\n",
        "- hosts: all\n  gather_facts: false\n  strategy: free\n"
        "  tasks: [{name: conf, copy: {content: x, dest: DIR/conf}, notify: real}]\n"
        "  handlers: [{name: real, check_mode: '{{ false }}', command: touch DIR/real}]\n",
    ],
    ids=["play", "include", "handler"],
)
def test_nothing_is_real_in_a_preview_wherever_it_says_so(harness: Harness, text: str) -> None:
    (harness.sandbox / "inner.yml").write_text(f"- {{name: real, command: touch '{harness.sandbox}/real'}}\n")
    preview = harness.preview(PLAYBOOK, {"playbook": text.replace("DIR", str(harness.sandbox))})
    assert "ends before the task 'real'" in preview.note
    assert [entry.name for entry in harness.sandbox.iterdir()] == ["inner.yml"]


def test_a_run_tells_each_task_and_counts_hosts(harness: Harness) -> None:
    inventory = harness.sandbox / "hosts"
    inventory.write_text("a ansible_connection=local\nb ansible_connection=local\n")
    tasks = (
        f"{{name: mark, copy: {{content: x, dest: '{harness.sandbox}/{{{{ inventory_hostname }}}}'}}}}",
        "{name: only one, debug: {msg: here}, when: inventory_hostname == 'b'}",
        "{name: bad luck, command: 'false', ignore_errors: true}",
    )
    outputs = harness.run(PLAYBOOK, {"playbook": play(*tasks), "inventory": str(inventory)})
    assert outputs["hosts"]["a"] == {
        "ok": 2, "changed": 2, "failed": 0, "unreachable": 0, "skipped": 1, "rescued": 0, "ignored": 1,
    }  # fmt: skip
    assert outputs["hosts"]["b"]["skipped"] == 0
    assert (outputs["changed"], outputs["tasks"], outputs["hosts_left_out"]) == (True, 3, 0)
    assert "task 1: mark\ntask 2: only one\ntask 3: bad luck" in harness.recorder.text


def test_a_playbook_on_the_host_finds_what_lies_beside_it(harness: Harness) -> None:
    folder = harness.sandbox / "ansible"
    (folder / "roles/greet/tasks").mkdir(parents=True)
    (folder / "roles/greet/tasks/main.yml").write_text("- {name: greet, copy: {src: hello, dest: '{{ to }}'}}\n")
    (folder / "roles/greet/files").mkdir()
    (folder / "roles/greet/files/hello").write_text("hello\n")
    (folder / "site.yml").write_text("- {hosts: all, gather_facts: false, roles: [{role: greet, tags: [greet]}]}\n")
    params = {"path": str(folder / "site.yml"), "vars": {"to": str(harness.sandbox / "out")}, "tags": ["greet"]}
    assert harness.run(PLAYBOOK, params)["changed"]
    assert (harness.sandbox / "out").read_text() == "hello\n"


def test_the_vault_opens_with_a_secret(harness: Harness) -> None:
    password = harness.sandbox / "password"
    password.write_bytes(TOKEN)
    sealed = subprocess.run(
        [BIN / "ansible-vault", "encrypt_string", f"--vault-password-file={password}", "the content"],
        capture_output=True, text=True, check=True,
    ).stdout.rstrip()  # fmt: skip
    password.unlink()
    harness.secrets.contents["vault"] = TOKEN
    text = play("{name: compare, assert: {that: sealed == 'the content'}}")
    text = text.replace("  tasks:", f"  vars:\n    sealed: {sealed}\n  tasks:")
    harness.run(PLAYBOOK, {"playbook": text, "vault_password": "secret://vault"})
    assert TOKEN.decode() not in harness.seen()


def test_no_secret_lies_on_a_disk_or_in_an_argument_while_it_runs(harness: Harness) -> None:
    harness.secrets.contents["token"] = TOKEN
    report = harness.sandbox / "report"
    folders = f"ls -lR '{harness.scratch_root}' >> '{report}'"
    script = f"ps -eo args > '{report}'; cat /proc/*/cmdline > '{report}.raw' 2>/dev/null; {folders}"
    params = {"playbook": play(f'shell: "{script}"'), "secret_vars": {"token": "secret://token"}}
    harness.run(PLAYBOOK, params)
    told = report.read_text() + Path(f"{report}.raw").read_text(errors="replace")
    assert "ansible-playbook" in told
    assert TOKEN.decode() not in told
    assert stat.filemode(stat.S_IFIFO | 0o600) in told, "the variables are no pipe"


@pytest.mark.parametrize(
    ("text", "error", "problem"),
    [
        (play("{name: break it, command: 'false'}"), StepFailed, "localhost failed: task 'break it' on localhost"),
        (
            "- hosts: all\n  tasks: [{no_such_module_here: }]\n",
            Refused,
            "cannot read the playbook.*no_such_module_here",
        ),
        ("- hosts: [\n", Refused, "cannot read the playbook"),
        (play("debug: {msg: x}", hosts="webservers"), Refused, "no play for any host here"),
    ],
)
def test_each_end_has_its_kind(harness: Harness, text: str, error: type[Exception], problem: str) -> None:
    with pytest.raises(error, match=f"(?s){problem}"):
        harness.run(PLAYBOOK, {"playbook": text})


def test_a_host_that_cannot_be_reached_is_a_fault_of_the_network(harness: Harness) -> None:
    inventory = harness.sandbox / "hosts"
    inventory.write_text("far ansible_host=127.0.0.1 ansible_port=1 ansible_ssh_executable=/bin/false\n")
    with pytest.raises(InfrastructureFailed, match="did not reach far"):
        harness.run(PLAYBOOK, {"playbook": play("ping:"), "inventory": str(inventory)})


@pytest.mark.parametrize(
    "missing", [{"path": "/no/such/site.yml"}, {"playbook": play("ping:"), "inventory": "/no/inv"}]
)
def test_what_is_not_on_the_host_is_named(harness: Harness, missing: dict[str, Any]) -> None:
    with pytest.raises(TargetFailed, match=r"there is no '/no/"):
        harness.run(PLAYBOOK, missing)


def test_a_host_without_ansible_says_how_to_get_it(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python3")
    if os.path.exists("/usr/bin/ansible-playbook"):  # noqa: PTH110
        pytest.skip("this machine has an ansible of its own")
    answer = harness.available(PLAYBOOK)
    assert not answer.available
    assert "apt-get install ansible-core" in answer.reason
