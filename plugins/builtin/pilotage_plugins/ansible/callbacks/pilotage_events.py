"""A callback plugin of Ansible: tells what happens as lines of JSON, on the descriptor in PILOTAGE_EVENTS.

In check mode it ends the run before a task that says `check_mode: false`, which would be made for real.
"""

from __future__ import annotations

import json
import os
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
    name: pilotage_events
    type: notification
    short_description: Tells Pilotage what happens
    description: Writes one line of JSON for each event to the descriptor that the environment names.
    requirements: [started by Pilotage]
"""

LONGEST = 4000
"""Characters of one text in an event."""
UNSAFE = 97
"""How the program exits before a task that would not keep to check mode."""


class CallbackModule(CallbackBase):  # type: ignore[misc]  # what runs in Ansible is not typed
    """Translates Ansible's callbacks."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "pilotage_events"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._out = int(os.environ["PILOTAGE_EVENTS"])
        self._checking = os.environ.get("PILOTAGE_CHECK") == "1"
        self._owner = os.getpid()

    def v2_playbook_on_play_start(self, play: Any) -> None:
        self._tell(event="play", name=play.get_name())

    def v2_playbook_on_no_hosts_matched(self) -> None:
        self._tell(event="no_hosts")

    def v2_playbook_on_task_start(self, task: Any, is_conditional: Any) -> None:
        self._begin(task)

    def v2_playbook_on_handler_task_start(self, task: Any) -> None:
        self._begin(task)

    def v2_playbook_on_cleanup_task_start(self, task: Any) -> None:
        self._begin(task)

    def v2_runner_on_ok(self, result: Any) -> None:
        changed = bool(result._result.get("changed"))
        self._result(result, "changed" if changed else "ok", diff=changed)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        self._result(result, "failed", ignored=bool(ignore_errors))

    def v2_runner_on_unreachable(self, result: Any) -> None:
        self._result(result, "unreachable")

    def v2_runner_on_skipped(self, result: Any) -> None:
        self._result(result, "skipped")

    def v2_playbook_on_stats(self, stats: Any) -> None:
        names = ("ok", "changed", "failures", "unreachable", "skipped", "rescued", "ignored")
        for host in sorted(stats.processed):
            summary = stats.summarize(host)
            self._tell(event="stats", host=host, **{name: summary.get(name, 0) for name in names})
        self._tell(event="end")

    def _begin(self, task: Any) -> None:
        self._tell(event="task", name=task.get_name(), action=str(task.action))
        if self._checking and task.check_mode is not True:
            self._tell(event="unsafe", name=task.get_name())
            os._exit(UNSAFE)

    def _result(self, result: Any, status: str, ignored: bool = False, diff: bool = False) -> None:
        found = result._result
        hidden = bool(found.get("_ansible_no_log"))
        self._tell(
            event="result",
            host=result._host.get_name(),
            task=result._task.get_name(),
            action=str(result._task.action),
            status=status,
            ignored=ignored,
            message="(no_log)" if hidden else self._message(found),
            diff="" if hidden or not diff else self._difference(found),
        )

    def _message(self, found: Any) -> str:
        texts = [found.get(name) for name in ("msg", "skip_reason", "stderr", "module_stderr")]
        texts += [item.get("msg") for item in found.get("results", ()) if isinstance(item, dict) and item.get("failed")]
        return "; ".join(str(text).strip() for text in texts if text)

    def _difference(self, found: Any) -> str:
        items = [found, *(item for item in found.get("results", ()) if isinstance(item, dict))]
        return "".join(self._get_diff(item["diff"]) for item in items if item.get("diff"))

    def _tell(self, **event: Any) -> None:
        if os.getpid() != self._owner:
            return
        short = {name: text[:LONGEST] if isinstance(text, str) else text for name, text in event.items()}
        line = json.dumps(short).encode() + b"\n"
        while line:
            line = line[os.write(self._out, line) :]
