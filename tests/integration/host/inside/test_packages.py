"""Packages by a real apt and dpkg, from an archive of our own; never those of a machine that somebody uses."""

import contextlib
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pilotage_plugin_api import DeadlineExceeded, InfrastructureFailed, StepFailed, TargetFailed
from pilotage_plugin_api.registration import overrides
from pilotage_plugin_api.testing import Conformance, Harness, Sample
from pilotage_plugin_api.testing.conformance import World
from pilotage_plugins.host.reboot import HostReboot
from pilotage_plugins.note import shelf
from pilotage_plugins.package.hold import PackageHold, PackageRepair
from pilotage_plugins.package.install import PackageInstall
from pilotage_plugins.package.upgrade import PackagePlan, PackageUpgrade

from tests.integration.host.inside.repository import FAIL_MARK, make, serving

SOURCES = Path("/etc/apt/sources.list")
CONF = Path("/etc/plg-demo.conf")
HOOKS = Path("/etc/apt/apt.conf.d/90plg-hooks")
HOOKS_RAN = Path("/run/plg-hooks-ran")
WANTED = {"plg-demo": "1.0", "plg-sec": "1.0", "plg-bad": "1.0"}
OTHERS = ("plg-dep", "plg-extra", "plg-rival", "plg-meta", "plg-both")
KEY = "exe_1/pkg/host1//run/1"
AGAIN = "exe_1/pkg/host1//run/2"


def run(*argv: str, check: bool = True) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert not check or done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
    return done.stdout


def installed() -> dict[str, str]:
    lines = run("dpkg-query", "-W", "-f", "${Package} ${db:Status-Status} ${Version}\n", "plg-*", check=False)
    words = [line.split() for line in lines.splitlines()]
    return {parts[0]: parts[2] for parts in words if len(parts) == 3 and parts[1] == "installed"}


def marks() -> tuple[list[str], list[str]]:
    return (
        [name for name in run("apt-mark", "showauto").split() if name.startswith("plg-")],
        [name for name in run("apt-mark", "showhold").split() if name.startswith("plg-")],
    )


def lists() -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in Path("/var/lib/apt/lists").iterdir()}


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("archive")
    make(folder)
    Path("/etc/dpkg/dpkg.cfg.d/quick").write_text("force-unsafe-io\n")
    with serving(folder) as address:
        SOURCES.write_text("".join(f"deb [trusted=yes] {address}/{part} ./\n" for part in ("main", "security")))
        run("apt-get", "-q", "update")
        yield folder


@pytest.fixture(autouse=True)
def packages(archive: Path) -> None:
    """Bring the packages back to where every test begins; nothing is done where nothing was changed."""
    FAIL_MARK.unlink(missing_ok=True)
    for note in shelf.folder().glob("*.json"):
        note.unlink()
    if marks() != ([], []):
        run("apt-mark", "unhold", *WANTED, check=False)
        run("apt-mark", "manual", *WANTED, check=False)
    conf = CONF.read_text() if CONF.exists() else ""
    if installed() != WANTED or conf != "setting=1.0\n" or run("dpkg", "--audit"):
        run("dpkg", "--configure", "-a", check=False)
        run("dpkg", "--purge", "--force-all", *WANTED, *OTHERS)
        debs = [str(archive / "main" / f"{name}_{version}_all.deb") for name, version in WANTED.items()]
        run("dpkg", "-i", *debs)


class _OnPackages(Conformance):
    params: dict[str, Any] = {}  # noqa: RUF012 - each class has its own

    def sample(self, sandbox: Path) -> Sample:
        return Sample(self.params)

    def test_the_packages_are_left_as_they_should_be(self, world: World) -> None:
        """Preview changes nothing, lists included; undo, once or twice, brings versions, marks and holds back."""
        before, fetched = (installed(), marks()), lists()
        world.harness.preview(self.step_type, world.sample.params)
        assert ((installed(), marks()), lists()) == (before, fetched)
        outputs = world.run()
        if overrides(self.step_type, "undo"):
            assert (installed(), marks()) != before
            world.harness.undo(self.step_type, world.sample.params, outputs)
            assert (installed(), marks()) == before
            world.harness.undo(self.step_type, world.sample.params, outputs)
        assert (installed(), marks()) == before


class TestPackagePlan(_OnPackages):
    step_type = PackagePlan()
    params = {"refresh": False}  # noqa: RUF012


class TestPackageUpgrade(_OnPackages):
    step_type = PackageUpgrade()
    params = {"packages": ["plg-demo"], "refresh": False}  # noqa: RUF012


class TestPackageInstall(_OnPackages):
    step_type = PackageInstall()
    params = {"packages": ["plg-dep"], "refresh": False}  # noqa: RUF012


class TestPackageHold(_OnPackages):
    step_type = PackageHold()
    params = {"packages": ["plg-demo"]}  # noqa: RUF012


class TestPackageRepair(_OnPackages):
    step_type = PackageRepair()


def test_a_plan_tells_versions_sizes_and_security_and_fetches_beside_the_hosts_lists(harness: Harness) -> None:
    for path in Path("/var/lib/apt/lists").glob("*Packages"):
        path.unlink()
    before = lists()
    outputs = harness.run(PackagePlan(), {})
    ours = {change["package"]: change for change in outputs["changes"] if change["package"].startswith("plg-")}
    assert {name: (c["before"], c["after"], c["security"]) for name, c in ours.items()} == {
        "plg-demo": ("1.0", "2.0", False),
        "plg-bad": ("1.0", "2.0", False),
        "plg-sec": ("1.0", "1.1", True),
    }
    assert all(change["download_bytes"] > 300 and change["way_back"] for change in ours.values())
    assert lists() == before
    assert not outputs["reboot_required"]
    run("apt-get", "-q", "update")


@pytest.fixture
def hooks() -> Iterator[Path]:
    """Give apt one hook of each kind, which leave a word in this file."""
    updates = [f"APT::Update::{moment}" for moment in ("Pre-Invoke", "Post-Invoke", "Post-Invoke-Success")]
    installs = ["APT::Install::Pre-Invoke", "AptCli::Hooks::Install", "AptCli::Hooks::Upgrade", "DPkg::Pre-Invoke"]
    HOOKS.write_text("".join(f'{name} {{"echo {name} >> {HOOKS_RAN}";}};\n' for name in updates + installs))
    HOOKS_RAN.unlink(missing_ok=True)
    yield HOOKS_RAN
    HOOKS.unlink()


def test_looking_runs_none_of_the_hosts_hooks_and_working_runs_them(harness: Harness, hooks: Path) -> None:
    harness.run(PackagePlan(), {})
    harness.preview(PackageUpgrade(), {})
    harness.preview(PackageInstall(), {"packages": ["plg-dep"]})
    harness.preview(PackageRepair(), {"fix_dependencies": True})
    assert not hooks.exists()
    harness.run(PackageUpgrade(), {"packages": ["plg-demo"]})
    assert {"APT::Update::Pre-Invoke", "APT::Update::Post-Invoke-Success", "DPkg::Pre-Invoke"} <= set(
        hooks.read_text().split()
    )


def test_an_upgrade_that_was_planned_is_made_and_no_other_one_comes(harness: Harness, archive: Path) -> None:
    """What was half done before stays so too when the archive has something else than what was planned."""
    choice = {"packages": ["plg-demo", "plg-sec"], "refresh": False}
    planned = harness.run(PackagePlan(), choice)["changes"]
    run("dpkg", "--unpack", str(archive / "main" / "plg-bad_2.0_all.deb"))
    stale = [{**each, "after": "1.5"} if each["package"] == "plg-demo" else each for each in planned]
    for call in (harness.preview, harness.run):
        with pytest.raises(TargetFailed, match=r"plg-demo was planned as 1\.0 -> 1\.5, and would be 1\.0 -> 2\.0"):
            call(PackageUpgrade(), {**choice, "expect": stale})
    with pytest.raises(TargetFailed, match="plg-sec would be changed"):
        harness.run(PackageUpgrade(), {**choice, "expect": planned[:1] if planned[0]["package"] == "plg-demo" else []})
    assert (installed(), bool(run("dpkg", "--audit"))) == ({"plg-demo": "1.0", "plg-sec": "1.0"}, True)
    outputs = harness.run(PackageUpgrade(), {**choice, "expect": planned})
    assert outputs["repaired"]
    assert installed() == {"plg-demo": "2.0", "plg-sec": "1.1", "plg-bad": "2.0"}


def test_an_upgrade_that_was_planned_and_cut_off_comes_to_its_end(harness: Harness) -> None:
    FAIL_MARK.touch()
    params: dict[str, Any] = {"packages": ["plg-bad", "plg-demo"], "refresh": False}
    params["expect"] = harness.run(PackagePlan(), params)["changes"]
    with pytest.raises(StepFailed, match="plg-bad"):
        harness.run(PackageUpgrade(), params, key=KEY)
    FAIL_MARK.unlink()
    harness.run(PackageUpgrade(), params, key=AGAIN)
    assert installed() == {**WANTED, "plg-bad": "2.0", "plg-demo": "2.0"}


def test_an_upgrade_for_security_touches_nothing_else(harness: Harness) -> None:
    outputs = harness.run(PackageUpgrade(), {"security_only": True})
    assert outputs["changes"] == [{"package": "plg-sec", "before": "1.0", "after": "1.1"}]
    assert installed() == {**WANTED, "plg-sec": "1.1"}
    assert any(fraction and fraction > 0.5 for fraction, _ in harness.recorder.reports)


def test_a_fix_below_a_newer_version_is_what_comes_for_security(harness: Harness, archive: Path) -> None:
    run("dpkg", "-i", str(archive / "main" / "plg-both_1.0_all.deb"))
    params = {"packages": ["plg-both"], "security_only": True, "refresh": False}
    (planned,) = harness.run(PackagePlan(), params)["changes"]
    assert (planned["after"], planned["security"]) == ("1.1", True)
    pinned = Path("/etc/apt/preferences.d/plg-both")
    pinned.write_text("Package: plg-both\nPin: version 1.0\nPin-Priority: 1001\n")
    assert harness.run(PackagePlan(), params)["changes"] == []
    pinned.unlink()
    run("apt-mark", "hold", "plg-both")
    assert harness.run(PackagePlan(), params)["changes"] == []
    run("apt-mark", "unhold", "plg-both")
    outputs = harness.run(PackageUpgrade(), params)
    assert outputs["changes"] == [{"package": "plg-both", "before": "1.0", "after": "1.1"}]
    assert harness.run(PackagePlan(), params)["changes"] == []


def test_what_was_held_stays_and_what_came_by_dependency_stays_marked(harness: Harness) -> None:
    run("apt-mark", "auto", "plg-bad")
    harness.run(PackageHold(), {"packages": ["plg-demo"]})
    outputs = harness.run(PackageUpgrade(), {})
    assert sorted(change["package"] for change in outputs["changes"]) == ["plg-bad", "plg-sec"]
    assert marks() == (["plg-bad"], ["plg-demo"])


@pytest.mark.parametrize(("policy", "kept"), [("keep", "setting=mine\n"), ("replace", "setting=2.0\n")])
def test_the_policy_decides_about_a_changed_conffile(harness: Harness, policy: str, kept: str) -> None:
    CONF.write_text("setting=mine\n")
    harness.run(PackageUpgrade(), {"packages": ["plg-demo"], "conffiles": policy, "refresh": False})
    assert (installed()["plg-demo"], CONF.read_text()) == ("2.0", kept)


@pytest.mark.parametrize(("policy", "kept"), [("keep", "setting=mine\n"), ("replace", "setting=2.0\n")])
@pytest.mark.parametrize("cure", [PackageUpgrade, PackageRepair])
def test_the_policy_also_decides_in_what_was_cut_off(
    harness: Harness, archive: Path, cure: Any, policy: str, kept: str
) -> None:
    CONF.write_text("setting=mine\n")
    run("dpkg", "--unpack", str(archive / "main" / "plg-demo_2.0_all.deb"))
    harness.run(cure(), {"conffiles": policy})
    assert (installed()["plg-demo"], CONF.read_text()) == ("2.0", kept)


def test_a_script_that_fails_is_named_and_a_retry_finishes_what_it_left(harness: Harness) -> None:
    FAIL_MARK.touch()
    params = {"packages": ["plg-bad", "plg-demo"], "refresh": False}
    with pytest.raises(StepFailed, match=r"The scripts of plg-bad.* failed; once cured, package\.repair"):
        harness.run(PackageUpgrade(), params, key=KEY)
    assert harness.preview(PackageRepair(), {}).changes[0].subject == "plg-bad"
    with pytest.raises((StepFailed, TargetFailed), match="plg-bad"):
        harness.run(PackageRepair(), {})
    FAIL_MARK.unlink()
    outputs = harness.run(PackageUpgrade(), params, key=AGAIN)
    assert outputs["repaired"]
    assert [(c["package"], c["before"], c["after"]) for c in outputs["changes"]] == [
        ("plg-bad", "1.0", "2.0"),
        ("plg-demo", "1.0", "2.0"),
    ]
    harness.undo(PackageUpgrade(), params, outputs)
    assert installed() == WANTED


def test_an_upgrade_cut_off_in_a_script_is_finished_by_the_next_attempt(harness: Harness) -> None:
    FAIL_MARK.write_text("hang")
    params = {"packages": ["plg-bad"], "refresh": False}
    before = harness.living_children()
    with pytest.raises(DeadlineExceeded):
        harness.run(PackageUpgrade(), params, key=KEY, timeout=4)
    assert not harness.left_behind(before)
    assert "plg-bad" not in installed()
    assert "plg-bad" in harness.preview(PackageUpgrade(), params).note
    FAIL_MARK.unlink()
    outputs = harness.run(PackageUpgrade(), params, key=AGAIN)
    assert outputs["repaired"]
    assert outputs["changes"] == [{"package": "plg-bad", "before": "1.0", "after": "2.0"}]


def test_repair_names_what_it_finished(harness: Harness) -> None:
    FAIL_MARK.touch()
    with pytest.raises(StepFailed):
        harness.run(PackageUpgrade(), {"packages": ["plg-bad"], "refresh": False})
    FAIL_MARK.unlink()
    assert harness.run(PackageRepair(), {})["unfinished"] == ["plg-bad"]
    assert not run("dpkg", "--audit")


def test_a_version_that_nobody_offers_any_more_is_told_before_and_refused_at_the_undo(
    harness: Harness, archive: Path
) -> None:
    run("dpkg", "-i", str(archive / "security" / "plg-sec_1.1_all.deb"))
    outputs = harness.run(PackageInstall(), {"packages": ["plg-sec=1.0"], "allow_downgrade": True})
    assert outputs["changes"] == [{"package": "plg-sec", "before": "1.1", "after": "1.0"}]
    gone = {**outputs, "changes": [{"package": "plg-sec", "before": "0.9", "after": "1.0"}]}
    with pytest.raises(TargetFailed, match=r"no repository offers plg-sec 0\.9 any more, so nothing was changed"):
        harness.undo(PackageInstall(), {"packages": ["plg-sec"]}, gone)


def test_nothing_is_removed_unless_that_was_said(harness: Harness) -> None:
    params = {"packages": ["plg-rival"], "refresh": False}
    for call in (harness.preview, harness.run):
        with pytest.raises(TargetFailed, match="would remove plg-demo: set allow_remove: true"):
            call(PackageInstall(), params)
    outputs = harness.run(PackageInstall(), {**params, "allow_remove": True})
    assert "plg-demo" not in installed()
    harness.undo(PackageInstall(), {**params, "allow_remove": True}, outputs)
    assert installed() == WANTED


def test_a_package_that_is_not_there_is_the_hosts_fault_and_an_archive_that_is_away_may_heal(harness: Harness) -> None:
    with pytest.raises(TargetFailed, match="plg-nosuch"):
        harness.run(PackageInstall(), {"packages": ["plg-nosuch"], "refresh": False})
    kept = SOURCES.read_text()
    SOURCES.write_text("deb [trusted=yes] http://127.0.0.1:9/main ./\n")
    try:
        for call in (harness.preview, harness.run):
            with pytest.raises(InfrastructureFailed, match=r"Could not connect|Failed to fetch"):
                call(PackageUpgrade(), {})
    finally:
        SOURCES.write_text(kept)
        run("apt-get", "-q", "update")


HOLDS_A_LOCK = """\
import fcntl
import sys
with open(sys.argv[1], "w") as lock:
    fcntl.lockf(lock, fcntl.LOCK_EX)
    print("has it", flush=True)
    sys.stdin.read()
"""
LOCKS = ("/var/lib/dpkg/lock-frontend", "/var/lib/apt/lists/lock", "/var/cache/apt/archives/lock")


@contextlib.contextmanager
def at_work(lock: str) -> Iterator[subprocess.Popen[str]]:
    """Have another program hold this lock until its input is closed."""
    argv = (sys.executable, "-c", HOLDS_A_LOCK, lock)
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout
        assert other.stdout.readline() == "has it\n"
        yield other


@pytest.fixture
def meta(archive: Path) -> dict[str, str]:
    """A package whose upgrade brings another one; gives what is installed with it."""
    run("dpkg", "-i", str(archive / "main" / "plg-meta_1.0_all.deb"))
    return {**WANTED, "plg-meta": "1.0"}


def test_what_comes_as_a_dependency_is_marked_so_and_what_was_asked_for_is_not(
    harness: Harness, meta: dict[str, str]
) -> None:
    params = {"packages": ["plg-meta"], "refresh": False}
    outputs = harness.run(PackageUpgrade(), params)
    assert installed() == {**meta, "plg-meta": "2.0", "plg-extra": "1.0"}
    assert marks() == (["plg-extra"], [])
    harness.undo(PackageUpgrade(), params, outputs)
    assert (installed(), marks()) == (meta, ([], []))
    harness.run(PackageInstall(), {"packages": ["plg-dep"], "refresh": False})
    assert marks() == (["plg-extra"], [])


@pytest.mark.parametrize("after", ["recovery", "retry"])
def test_marks_are_set_also_after_a_kill(harness: Harness, meta: dict[str, str], after: str) -> None:
    """plg-bad was a dependency; named to apt it counts as asked for, until it is marked again."""
    run("apt-mark", "auto", "plg-bad")
    FAIL_MARK.write_text("hang")
    params = {"packages": ["plg-meta", "plg-bad"], "refresh": False}
    killed = harness.kill_in_the_middle(PackageUpgrade(), params, KEY, 4)
    assert killed
    FAIL_MARK.unlink()
    run("apt-mark", "manual", "plg-bad", "plg-extra", check=False)
    if after == "recovery":
        assert harness.recover(PackageUpgrade(), params, KEY) == "marked as dependencies: plg-bad, plg-extra"
        assert harness.recover(PackageUpgrade(), params, KEY) == ""
    else:
        harness.run(PackageUpgrade(), params, key=AGAIN)
        assert installed()["plg-bad"] == "2.0"
    assert marks() == (["plg-bad", "plg-extra"], [])


def test_marks_are_set_also_when_a_script_fails(harness: Harness, meta: dict[str, str]) -> None:
    FAIL_MARK.touch()
    with pytest.raises(StepFailed, match="plg-bad"):
        harness.run(PackageUpgrade(), {"packages": ["plg-meta", "plg-bad"], "refresh": False}, key=KEY)
    assert installed()["plg-extra"] == "1.0"
    assert marks() == (["plg-extra"], [])


def test_a_dependency_that_was_removed_comes_back_as_one(harness: Harness) -> None:
    run("apt-mark", "auto", "plg-demo")
    params = {"packages": ["plg-rival"], "refresh": False, "allow_remove": True}
    outputs = harness.run(PackageInstall(), params)
    assert outputs["automatic"] == ["plg-demo"]
    harness.undo(PackageInstall(), params, outputs)
    assert (installed(), marks()) == (WANTED, (["plg-demo"], []))


@pytest.mark.parametrize("lock", LOCKS)
def test_another_program_at_work_may_heal(harness: Harness, lock: str) -> None:
    with at_work(lock) as other, pytest.raises(InfrastructureFailed, match=f"lock.* process {other.pid}"):
        harness.run(PackageUpgrade(), {"packages": ["plg-demo"], "lock_wait": "0s"})
    assert installed() == WANTED


@pytest.mark.parametrize("lock", LOCKS[1:])
def test_a_step_waits_for_another_program(harness: Harness, lock: str) -> None:
    with at_work(lock) as other:
        threading.Timer(0.6, other.communicate).start()
        harness.run(PackageUpgrade(), {"packages": ["plg-demo"], "lock_wait": "30s"})
    assert installed()["plg-demo"] == "2.0"


def test_what_another_program_is_at_work_on_is_no_leftover(harness: Harness, archive: Path) -> None:
    run("dpkg", "--unpack", str(archive / "main" / "plg-bad_2.0_all.deb"))
    with at_work(LOCKS[0]) as other:

        def end() -> None:
            run("env", "DPKG_FRONTEND_LOCKED=true", "dpkg", "--configure", "plg-bad")
            other.communicate()

        threading.Timer(0.6, end).start()
        outputs = harness.run(PackageUpgrade(), {"packages": ["plg-demo"], "lock_wait": "30s"})
    assert not outputs["repaired"]
    assert outputs["changes"] == [{"package": "plg-demo", "before": "1.0", "after": "2.0"}]
    assert re.search(rf"for process {other.pid} \(python.*\), which has dpkg's lock", harness.recorder.text)


@pytest.mark.parametrize(
    ("step_type", "params"), [(PackageHold, {"packages": ["plg-demo"]}), (PackageRepair, {"lock_wait": "30s"})]
)
def test_other_verbs_wait_too(harness: Harness, step_type: Any, params: dict[str, Any]) -> None:
    with at_work(LOCKS[0]) as other:
        threading.Timer(0.6, other.communicate).start()
        harness.run(step_type(), params)
        assert other.poll() is not None


def test_a_plan_and_a_preview_name_the_units_that_must_restart(harness: Harness) -> None:
    run("systemd-run", "--unit", "plg-daemon", "--service-type=exec", "/usr/bin/plg-demod", "1000")
    try:
        params = {"packages": ["plg-demo"], "refresh": False}
        assert harness.run(PackagePlan(), params)["restart"] == ["plg-daemon.service"]
        shown = harness.preview(PackageUpgrade(), params)
        assert shown.note == "run old code until they are restarted: plg-daemon.service"
        assert harness.run(PackagePlan(), {**params, "packages": ["plg-sec"]})["restart"] == []
    finally:
        run("systemctl", "stop", "plg-daemon")
    assert harness.run(PackagePlan(), params)["restart"] == []


def test_an_upgrade_tells_what_needrestart_finds(harness: Harness) -> None:
    program = Path("/usr/sbin/needrestart")
    program.write_text(
        "#!/bin/sh\ntest \"$*\" = '-b -r l' || exit 3\n"
        "echo NEEDRESTART-VER: 3.6\necho NEEDRESTART-KSTA: 1\n"
        "echo NEEDRESTART-SVC: plg-daemon.service\necho NEEDRESTART-SVC: dbus.service\n"
    )
    program.chmod(0o755)
    try:
        params = {"packages": ["plg-demo"], "refresh": False}
        assert not harness.run(PackagePlan(), params)["reboot_required"]
        assert harness.run(PackageUpgrade(), params)["restart"] == ["dbus.service", "plg-daemon.service"]
        program.write_text("#!/bin/sh\necho NEEDRESTART-SVC: half.service\nexit 1\n")
        assert harness.run(PackageUpgrade(), params, key="exe_2/pkg/host1//run/1")["restart"] is None
    finally:
        program.unlink()
    assert harness.run(PackageUpgrade(), params, key="exe_3/pkg/host1//run/1")["restart"] is None


def test_a_kernel_that_comes_asks_for_a_reboot_and_is_named(harness: Harness) -> None:
    program = Path("/usr/sbin/needrestart")
    params = {"packages": ["plg-demo"], "refresh": False}
    try:
        for state, waits in (("1", False), ("2", True), ("3", True), ("0", False)):
            program.write_text(
                "#!/bin/sh\ntest \"$*\" = '-b -k' || exit 3\n"
                f"echo NEEDRESTART-KEXP: 6.1.0-18-amd64\necho NEEDRESTART-KSTA: {state}\n"
            )
            program.chmod(0o755)
            assert harness.run(PackagePlan(), params)["reboot_required"] is waits
            shown = harness.preview(HostReboot(), {"only_if_required": True})
            assert ("6.1.0-18-amd64" in shown.changes[0].note) is waits
    finally:
        program.unlink()


def test_a_pinned_package_stays_at_its_version(harness: Harness) -> None:
    """As the documentation says: exactly that version, then on hold; and what is not on hold moves on."""
    harness.run(PackageUpgrade(), {"packages": ["plg-demo"], "refresh": False})
    pin = {"packages": ["plg-demo=1.0"], "allow_downgrade": True, "refresh": False}
    outputs = harness.run(PackageInstall(), pin, key="exe_2/pin/host1//run/1")
    assert outputs["changes"] == [{"package": "plg-demo", "before": "2.0", "after": "1.0"}]
    held = harness.run(PackageHold(), {"packages": ["plg-demo"]}, key="exe_2/hold/host1//run/1")
    harness.run(PackageUpgrade(), {"refresh": False}, key="exe_3/all/host1//run/1")
    assert installed() == {**WANTED, "plg-sec": "1.1", "plg-bad": "2.0"}
    harness.undo(PackageHold(), {"packages": ["plg-demo"]}, held)
    harness.run(PackageUpgrade(), {"refresh": False}, key="exe_4/all/host1//run/1")
    assert installed()["plg-demo"] == "2.0"


def test_what_no_archive_has_is_left_out_and_named(harness: Harness) -> None:
    """As on the replacement of a lost host, which lacks the archives of others until somebody adds them."""
    wanted = {"packages": ["plg-extra", "of-another-archive", "plg-demo=9.9"], "refresh": False}
    with pytest.raises(TargetFailed, match="of-another-archive"):
        harness.run(PackageInstall(), wanted)
    preview = harness.preview(PackageInstall(), {**wanted, "skip_missing": True})
    assert preview.note.startswith("in no archive, so left out: of-another-archive, plg-demo=9.9")
    outputs = harness.run(PackageInstall(), {**wanted, "skip_missing": True})
    assert outputs["left_out"] == ["of-another-archive", "plg-demo=9.9"]
    assert [change["package"] for change in outputs["changes"]] == ["plg-extra"]
    assert installed() == {**WANTED, "plg-extra": "1.0"}
    harness.undo(PackageInstall(), {**wanted, "skip_missing": True}, outputs)
    assert installed() == WANTED
