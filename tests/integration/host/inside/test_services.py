"""Services under a real systemd: every verb conforms, and keeps its word when units misbehave."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pilotage_plugin_api import Action, StepFailed, TargetFailed
from pilotage_plugin_api.registration import overrides
from pilotage_plugin_api.testing import Conformance, Harness, Sample
from pilotage_plugin_api.testing.conformance import World
from pilotage_plugins.file.template import FileTemplate
from pilotage_plugins.host import reboot
from pilotage_plugins.host.boot import boot_identity
from pilotage_plugins.host.reboot import HostReboot, Ordered
from pilotage_plugins.note import shelf
from pilotage_plugins.service.enablement import ServiceDisable, ServiceEnable
from pilotage_plugins.service.lifecycle import Begun, ServiceReload, ServiceRestart, ServiceStart, ServiceStop
from pilotage_plugins.service.status import ServiceStatus
from pilotage_plugins.service.unit import UnitState

UNITS = Path("/etc/systemd/system")
GOOD = "[Service]\nExecStart=/bin/sleep infinity\nExecReload=/bin/true\n[Install]\nWantedBy=multi-user.target\n"
KEY = "exe_1/svc/host1//run/1"
AGAIN = "exe_1/svc/host1//run/2"


def systemctl(*argv: str, check: bool = True) -> str:
    done = subprocess.run(["systemctl", "--no-pager", *argv], capture_output=True, text=True, check=check, timeout=30)
    return done.stdout.strip()


def define(name: str, text: str) -> None:
    (UNITS / f"{name}.service").write_text(text)
    systemctl("daemon-reload")


def picture(unit: str = "demo") -> str:
    return systemctl("show", "-P", "ActiveState", "-P", "UnitFileState", unit)


@pytest.fixture(autouse=True)
def units() -> Iterator[None]:
    define("demo", GOOD)
    yield
    for unit in UNITS.glob("demo*.service"):
        systemctl("stop", unit.name, check=False)
        systemctl("reset-failed", unit.name, check=False)
        systemctl("disable", unit.name, check=False)
        unit.unlink()
    for note in shelf.folder().glob("*.json"):
        note.unlink()


class _OnUnit(Conformance):
    """A unit that sleeps, started or enabled before as the verb needs it."""

    first: tuple[str, ...] = ()
    more: ClassVar[dict[str, Any]] = {}

    def sample(self, sandbox: Path) -> Sample:
        if self.first:
            systemctl(*self.first, "demo")
        return Sample({"unit": "demo", **self.more})

    def test_the_unit_is_left_as_it_should_be(self, world: World) -> None:
        """Preview and undo, once or twice, leave what was there."""
        before = picture()
        world.harness.preview(self.step_type, world.sample.params)
        assert picture() == before
        outputs = world.run()
        if overrides(self.step_type, "undo"):
            world.harness.undo(self.step_type, world.sample.params, outputs)
            assert picture() == before
            world.harness.undo(self.step_type, world.sample.params, outputs)
            assert picture() == before


class TestServiceStart(_OnUnit):
    step_type = ServiceStart()
    more: ClassVar[dict[str, Any]] = {"steady_for": "50ms"}


class TestServiceStop(_OnUnit):
    step_type = ServiceStop()
    first = ("start",)


class TestServiceRestart(_OnUnit):
    step_type = ServiceRestart()
    first = ("start",)
    more: ClassVar[dict[str, Any]] = {"steady_for": "50ms"}


class TestServiceReload(_OnUnit):
    step_type = ServiceReload()
    first = ("start",)


class TestServiceEnable(_OnUnit):
    step_type = ServiceEnable()


class TestServiceDisable(_OnUnit):
    step_type = ServiceDisable()
    first = ("enable",)


class TestServiceStatus(_OnUnit):
    step_type = ServiceStatus()
    first = ("start",)


class TestHostReboot(Conformance):
    """Where nothing asks for a reboot; a real one is seen from outside."""

    step_type = HostReboot()

    def sample(self, sandbox: Path) -> Sample:
        return Sample({"only_if_required": True, "services": ["demo"]})


def test_a_reboot_that_was_ordered_is_told_from_one_that_was_not(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = {"services": ["demo"], "kernel": os.uname().release}
    note = Ordered(key=KEY, boot=boot_identity(), kernel="old", at=0.0)
    assert harness.probe(HostReboot(), params, KEY)["answer"] == "not_done"
    shelf.keep(KEY.rpartition("/")[0], note)
    assert harness.probe(HostReboot(), params, KEY)["answer"] == "not_done"
    monkeypatch.setattr(reboot, "boot_identity", lambda: "another")
    down = harness.probe(HostReboot(), params, KEY)
    assert (down["answer"], "demo.service is inactive" in down["evidence"]) == ("unknown", True)
    systemctl("start", "demo")
    assert harness.probe(HostReboot(), params, KEY)["outputs"]["kernel_before"] == "old"
    wrong = harness.probe(HostReboot(), {**params, "kernel": "9.9"}, KEY)
    assert (wrong["answer"], "not 9.9" in wrong["evidence"]) == ("unknown", True)


def test_a_unit_that_dies_at_once_is_not_started(harness: Harness) -> None:
    define("demo-dies", "[Service]\nExecStart=/bin/sh -c 'echo out of luck; sleep 0.2; exit 3'\n")
    with pytest.raises(StepFailed, match=r"failed \(failed\), result exit-code, exit status 3.*out of luck"):
        harness.run(ServiceStart(), {"unit": "demo-dies"})


def test_a_unit_that_systemd_starts_again_and_again_is_not_up(harness: Harness) -> None:
    define("demo-loops", "[Service]\nExecStart=/bin/sleep 0.1\nRestart=always\nRestartSec=0\nStartLimitBurst=100\n")
    with pytest.raises(StepFailed, match="demo-loops"):
        harness.run(ServiceRestart(), {"unit": "demo-loops", "steady_for": "500ms"})


def test_a_start_that_fails_quotes_the_journal(harness: Harness) -> None:
    define("demo-bad", "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'echo no such luck >&2; exit 7'\n")
    with pytest.raises(StepFailed, match="no such luck"):
        harness.run(ServiceStart(), {"unit": "demo-bad"})


def test_a_oneshot_that_ends_well_is_done(harness: Harness) -> None:
    define("demo-once", "[Service]\nType=oneshot\nExecStart=/bin/true\n")
    outputs = harness.run(ServiceStart(), {"unit": "demo-once"})
    assert (outputs["changed"], outputs["after"]["result"]) == (True, "success")


def test_a_unit_that_is_not_there_or_masked_is_told_in_the_plan(harness: Harness) -> None:
    with pytest.raises(TargetFailed, match=r"no unit nosuch\.service"):
        harness.preview(ServiceStart(), {"unit": "nosuch"})
    systemctl("mask", "--runtime", "nosuch.service")
    try:
        with pytest.raises(TargetFailed, match="masked"):
            harness.run(ServiceStart(), {"unit": "nosuch"})
    finally:
        systemctl("unmask", "--runtime", "nosuch.service")
    with pytest.raises(TargetFailed, match="neither enabled nor disabled"):
        harness.run(ServiceEnable(), {"unit": "systemd-journald"})


def test_a_retried_start_still_knows_that_the_unit_was_down(harness: Harness) -> None:
    params = {"unit": "demo", "steady_for": "0s"}
    harness.run(ServiceStart(), params, key=KEY)
    outputs = harness.run(ServiceStart(), params, key=AGAIN)
    assert outputs["changed"]
    harness.undo(ServiceStart(), params, outputs)
    assert picture().startswith("inactive")


def test_the_probe_tells_a_restart_from_none(harness: Harness) -> None:
    systemctl("start", "demo")
    params = {"unit": "demo", "steady_for": "0s"}
    assert harness.probe(ServiceRestart(), params, KEY)["answer"] == "not_done"
    harness.run(ServiceRestart(), params, key=KEY)
    assert harness.probe(ServiceRestart(), params, KEY)["answer"] == "done"
    state = UnitState.model_validate(harness.run(ServiceStatus(), {"unit": "demo"})["state"])
    note = shelf.find(KEY.rpartition("/")[0], Begun)
    assert note is not None
    shelf.keep(KEY.rpartition("/")[0], note.model_copy(update={"last": state}))
    assert harness.probe(ServiceRestart(), params, KEY)["answer"] == "not_done"
    systemctl("stop", "demo")
    assert harness.probe(ServiceRestart(), params, KEY)["answer"] == "unknown"


def test_status_is_a_check(harness: Harness) -> None:
    with pytest.raises(StepFailed, match=r"inactive \(dead\)"):
        harness.run(ServiceStatus(), {"unit": "demo", "expect": "running"})
    systemctl("start", "demo")
    outputs = harness.run(ServiceStatus(), {"unit": "demo", "expect": "running"})
    assert outputs["running"]
    assert any("Started" in line for line in outputs["journal"])
    assert harness.preview(ServiceStart(), {"unit": "demo"}).changes[0].action is Action.NONE


CONFIG = Path("/etc/demo.conf")
SEEN = Path("/run/demo.seen")
READER = (
    f"[Service]\nExecStart=/bin/sleep infinity\nExecReload=/bin/sh -c 'grep -q good {CONFIG} && cp {CONFIG} {SEEN}'\n"
)


@pytest.fixture
def reader() -> Iterator[None]:
    """A unit that reads a file when it is reloaded, and refuses one that is not good."""
    CONFIG.write_text("good old\n")
    SEEN.write_text("good old\n")
    define("demo", READER)
    systemctl("start", "demo")
    yield
    CONFIG.unlink(missing_ok=True)
    SEEN.unlink(missing_ok=True)


def telling(word: str) -> dict[str, Any]:
    return {"path": str(CONFIG), "template": "{{ w }} new\n", "values": {"w": word}, "then": {"reload": "demo"}}


def test_a_unit_reads_what_was_written_and_what_was_put_back(harness: Harness, reader: None) -> None:
    changes = harness.preview(FileTemplate(), telling("good")).changes
    assert [(each.action, each.subject) for each in changes] == [
        (Action.UPDATE, str(CONFIG)), (Action.RUN, "demo.service"),
    ]  # fmt: skip
    outputs = harness.run(FileTemplate(), telling("good"), key=KEY)
    assert (outputs["reloaded"], SEEN.read_text()) == ("demo.service", "good new\n")
    SEEN.write_text("lost in a crash\n")
    assert harness.run(FileTemplate(), telling("good"), key=AGAIN) == outputs
    assert SEEN.read_text() == "good new\n"
    for _ in range(2):
        harness.undo(FileTemplate(), telling("good"), outputs)
        assert (CONFIG.read_text(), SEEN.read_text()) == ("good old\n", "good old\n")


def test_a_unit_that_refuses_the_new_file_gets_the_old_one_back(harness: Harness, reader: None) -> None:
    SEEN.unlink()
    with pytest.raises(StepFailed, match=r"The old '/etc/demo\.conf' was put back, and demo\.service was reloaded"):
        harness.run(FileTemplate(), telling("bad"))
    assert (CONFIG.read_text(), SEEN.read_text()) == ("good old\n", "good old\n")
    assert systemctl("is-active", "demo") == "active"
    with pytest.raises(StepFailed, match=r"was left, as the old one was not kept"):
        harness.run(FileTemplate(), {**telling("bad"), "keep_previous": False})
    assert CONFIG.read_text() == "bad new\n"


def test_a_unit_that_does_not_run_is_not_reloaded(harness: Harness, reader: None) -> None:
    systemctl("stop", "demo")
    outputs = harness.run(FileTemplate(), telling("good"))
    assert (outputs["changed"], outputs["reloaded"], SEEN.read_text()) == (True, None, "good old\n")
    with pytest.raises(TargetFailed, match=r"no unit demo-missing\.service"):
        harness.run(FileTemplate(), {**telling("other"), "then": {"reload": "demo-missing"}})
    assert CONFIG.read_text() == "good new\n"
