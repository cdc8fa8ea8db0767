"""The way of a plugin's author, in one environment of its own: template, wheel, host, plan, run, and the kit."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from copier import run_copy
from pilotage_plugin_api.catalogue import load_catalogue
from ruamel.yaml import YAML

from tests.fleet.fleet import Fleet
from tests.fleet.process import program

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / "plugins" / "template"
UV = ROOT / ".tools" / "uv" / "bin" / "uv"


@dataclass(frozen=True, slots=True)
class Site:
    """A host whose agent runs from an environment of its own, and a coordinator that has no plugin of a stranger's."""

    folder: Path
    fleet: Fleet

    @property
    def environment(self) -> Path:
        """Return the environment of the host."""
        return self.folder / "host"

    def install(self, *packages: str) -> None:
        """Install packages on the host."""
        call([str(UV), "pip", "install", "--python", str(self.environment), *packages])

    def restart(self) -> None:
        """Restart the agent, which looks at its plugins anew."""
        since = self.fleet.agents["tea"].output().count("connected")
        self.fleet.agents["tea"].stop()
        self.fleet.agents["tea"].start()
        self.fleet.until("the agent is back", lambda: self.fleet.agents["tea"].output().count("connected") > since)

    def can_run(self) -> set[str]:
        """Return the step types that the host can run now."""
        host = self.fleet.call(lambda client: client.show_host("tea"))
        return {each["name"] for each in host["step_types"] if each["available"]}


def call(command: Sequence[str], cwd: Path = ROOT, **environment: str) -> str:
    """Run a program, and return all that it said; fails with it when the program does."""
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, check=False, env=clean() | environment, timeout=300
    )
    assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def clean() -> dict[str, str]:
    """Return our environment variables without those that say which Python environment this is."""
    return {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}


def render(folder: Path, plugin: str, organisation: str) -> Path:
    """Make a plugin from the template."""
    answers = ("-d", f"plugin={plugin}", "-d", f"organisation={organisation}")
    call([program("copier"), "copy", "--quiet", "--defaults", *answers, str(TEMPLATE), str(folder)])
    return folder


def wheel_of(project: Path) -> Path:
    """Build a project's wheel."""
    call([str(UV), "build", "--wheel", "--quiet", "--out-dir", "dist", str(project)], cwd=project)
    [wheel] = (project / "dist").glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A host that runs what is locked, installed as wheels and without any tool of development."""
    if not UV.exists():
        pytest.skip("NOT TESTED: .tools/uv is not there; make setup puts it there")
    folder = tmp_path_factory.mktemp("author")
    locked = ["sync", "--quiet", "--frozen", "--no-dev", "--no-editable", "--python", sys.executable]
    # uv would take a wheel of ours from its cache as long as its pyproject.toml is the same.
    ours = [f"--reinstall-package={name}" for name in ("pilotage", "pilotage-plugin-api")]
    call([str(UV), *locked, *ours], UV_PROJECT_ENVIRONMENT=str(folder / "host"), UV_PYTHON_DOWNLOADS="never")
    site = Site(folder, Fleet(folder / "fleet", ("tea",)))
    agent = site.fleet.agents["tea"]
    agent.command = [str(site.environment / "bin" / "pilotage-agent"), *agent.command[1:]]
    try:
        site.fleet.start_coordinator()
        site.fleet.join("tea")
        site.fleet.await_online()
        yield site
    finally:
        site.fleet.stop()


@pytest.fixture(scope="module")
def project(site: Site) -> Path:
    """The plugin of the company Green Tea, installed on the host."""
    assert "green_tea.line" not in site.can_run()
    project = render(site.folder / "green-tea", "green_tea", "Green Tea")
    site.install(f"{wheel_of(project)}[test]")
    site.restart()
    site.fleet.until("the host tells of the step type", lambda: "green_tea.line" in site.can_run())
    return project


def test_its_blueprint_runs_on_the_host(site: Site, project: Path, tmp_path: Path) -> None:
    [blueprint] = (project / "examples").iterdir()
    motd = tmp_path / "motd"
    motd.write_text("welcome\n")
    arguments = ("-f", str(blueprint), "-p", f"file={motd}")
    assert "Authorised use only" in site.fleet.run("plan", *arguments).stdout
    assert motd.read_text() == "welcome\n"
    site.fleet.run("run", "start", "--yes", *arguments)
    assert motd.read_text() == "welcome\nAuthorised use only\n"
    shown = site.fleet.json("run", "show", "last")
    assert (shown["state"], shown["outputs"]["changed"]) == ("completed", ["tea"])


def test_a_wrong_parameter_is_refused_where_the_plugin_is_not(site: Site, project: Path, tmp_path: Path) -> None:
    [blueprint] = (project / "examples").iterdir()
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(blueprint.read_text().replace("          line:", "          lime:"))
    refused = site.fleet.run("plan", "-f", str(wrong), check=False)
    assert refused.returncode != 0
    assert "lime" in refused.stdout + refused.stderr


def test_the_kit_passes_it(site: Site, project: Path) -> None:
    told = call([str(site.environment / "bin" / "pytest"), "--pilotage-conformance"], cwd=project)
    assert "green_tea.line conforms" in told
    assert "skipped" not in told


def test_its_other_tests_and_its_style_are_sound(site: Site, project: Path) -> None:
    call([str(site.environment / "bin" / "pytest"), "-q", "-k", "added or named"], cwd=project)
    call([program("ruff"), "check", "--config", str(ROOT / "pyproject.toml"), str(project)])
    call([program("ruff"), "format", "--check", "--config", str(ROOT / "pyproject.toml"), str(project)])


def test_one_that_cannot_be_imported_is_named_and_takes_nothing_with_it(site: Site, project: Path) -> None:
    broken = render(site.folder / "stale", "stale", "Stale Tea")
    module = broken / "stale_pilotage" / "__init__.py"
    module.write_text(f"import leaves_of_last_year\n{module.read_text()}")
    site.install("--no-deps", str(wheel_of(broken)))
    site.restart()
    site.fleet.until("it is told of", lambda: "leaves_of_last_year" in site.fleet.run("host", "show", "tea").stdout)
    shown = site.fleet.run("host", "show", "tea").stdout
    assert "stale-pilotage" in shown
    assert {"green_tea.line", "command.run"} <= site.can_run()
    assert "stale.line" not in site.can_run()
    findings = {each["check"]: each for each in site.fleet.json("doctor")["items"]}
    assert findings["plugins"]["verdict"] == "warning"
    assert "tea: stale" in findings["plugins"]["detail"]
    assert "leaves_of_last_year" in findings["plugins"]["detail"]
    kit = subprocess.run(
        [site.environment / "bin" / "pytest", "--pilotage-conformance"],
        cwd=project, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert kit.returncode != 0
    assert "leaves_of_last_year" in kit.stdout + kit.stderr


@pytest.mark.parametrize("name", ["Tea", "9a", "a b", "pilotage_x", "container", "a" * 32, "../up"])
def test_names_that_cannot_be_used_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Validation error for question 'plugin'"):
        run_copy(str(TEMPLATE), tmp_path / "made", data={"plugin": name}, defaults=True, quiet=True)
    assert not (tmp_path / "made").exists()


def test_the_template_knows_the_names_that_are_taken() -> None:
    known = YAML(typ="safe").load(TEMPLATE / "copier.yml")["built_in"]["default"]
    assert {name.partition(".")[0] for name in load_catalogue().step_types} <= set(known)
