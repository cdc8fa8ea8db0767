"""Plugins are loaded one at a time; a broken one is set aside with its reason and harms no other."""

import json
import subprocess
import sys
import textwrap
from importlib.metadata import Distribution, distributions
from pathlib import Path

import pytest
from copier import run_copy
from pilotage_plugin_api.catalogue import GROUP, Catalogue, installed_plugins, load_catalogue
from pilotage_plugin_api.errors import Refused

TEMPLATE = Path(__file__).parents[3] / "plugins" / "template"

GOOD = """
from pilotage_plugin_api import Effect, StepOutputs, StepParams, StepType, hookimpl
class Params(StepParams):
    x: int = 1
class Outputs(StepOutputs):
    pass
class Greet(StepType[Params, Outputs]):
    "Greet somebody in a friendly way."
    name, effect, Params, Outputs = "{name}", Effect.ONCE, Params, Outputs
    async def run(self, ctx, params):
        return Outputs()
{more}
@hookimpl
def pilotage_register_step_types(register):
    register(Greet())
"""


class Shop:
    """Makes installed distributions in a folder, and loads their plugins."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder = folder
        monkeypatch.syspath_prepend(folder)

    def install(self, name: str, code: str, version: str = "1.0") -> None:
        module = f"shop_{abs(hash(self._folder))}_{name}"
        (self._folder / f"{module}.py").write_text(textwrap.dedent(code))
        info = self._folder / f"{name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[{GROUP}]\n{name} = {module}\n")

    def load(self) -> Catalogue:
        found: list[Distribution] = list(distributions(path=[str(self._folder)]))
        entries = [entry for one in found for entry in one.entry_points if entry.group == GROUP]
        return load_catalogue(sorted(entries, key=lambda entry: entry.name))


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    return Shop(tmp_path, monkeypatch)


def good(name: str, more: str = "") -> str:
    return GOOD.format(name=name, more=more)


def test_a_good_plugin_is_described_with_its_origin(shop: Shop) -> None:
    shop.install("acme", good("acme.greet"), "1.2")
    catalogue = shop.load()
    assert catalogue.quarantined == ()
    [described] = catalogue.describe()
    assert json.loads(json.dumps(described)) == described
    assert (described["name"], described["distribution"], described["version"]) == ("acme.greet", "acme", "1.2")
    assert described["effect"] == "once"
    assert described["params_schema"]["properties"]["x"]["type"] == "integer"
    assert (described["has_undo"], described["has_probe"], described["has_preview"]) == (False, False, False)


RECOVERS = """
async def recover(self, ctx, params, key):
    return "put in order"
Greet.recover = recover
"""


@pytest.mark.parametrize(
    ("declared", "recovers"), [("", False), ("PILOTAGE_API = (1, 1)", False), ("PILOTAGE_API = (1, 2)", True)]
)
def test_recover_is_called_of_plugins_only_that_know_of_it(shop: Shop, declared: str, recovers: bool) -> None:
    """One written for version 1 may have a method of that name for itself."""
    shop.install("acme", good("acme.greet", f"{declared}\n{RECOVERS}"))
    shop.install("beta", good("beta.greet", declared))
    assert {one["name"]: one["has_recover"] for one in shop.load().describe()} == {
        "acme.greet": recovers,
        "beta.greet": False,
    }


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import no_such_module", "No module named 'no_such_module'"),
        ("raise SystemExit(3)", "SystemExit"),
        ("def broken(:", "SyntaxError"),
        ("x = 1", "registers no step type"),
        (good("bad.new", "PILOTAGE_API = (7, 9)"), "needs plugin API 7 or newer"),
        (good("bad.range", "PILOTAGE_API = 'one'"), "two whole numbers"),
        (good("NoDot"), "plugin.verb"),
        (good("bad.docs", "Greet.__doc__ = None"), "no documentation"),
        (good("bad.effect", "Greet.effect = 'once'"), "effect must be one of"),
        (good("bad.probe", "Greet.effect = Effect.PROBE"), "brings no probe"),
        (good("bad.read", f"PILOTAGE_API = (1, 2)\n{RECOVERS}\nGreet.effect = Effect.READ"), "brings a recover"),
        (good("bad.extra", "import pydantic\nclass P(pydantic.BaseModel): x: int\nGreet.Params = P"), "extra"),
        (
            good(
                "bad.nested",
                "import pydantic\nclass I(pydantic.BaseModel): x: int\nclass P(StepParams):\n i: I\nGreet.Params = P",
            ),
            "I lets unknown fields pass",
        ),
        (good("bad.hook").replace("pilotage_register_step_types", "pilotage_register_steptypes"), "unknown hook"),
        (good("bad.twice").replace("register(Greet())", "register(Greet()); register(Greet())"), "twice"),
        (good("bad.cls").replace("register(Greet())", "register(Greet)"), "not its class"),
    ],
)  # fmt: skip
def test_a_broken_plugin_is_set_aside_and_harms_no_other(shop: Shop, code: str, reason: str) -> None:
    shop.install("acme", good("acme.greet"))
    shop.install("broken", code)
    catalogue = shop.load()
    assert list(catalogue.step_types) == ["acme.greet"]
    [quarantined] = catalogue.quarantined
    assert quarantined.origin.distribution == "broken"
    assert any(word in quarantined.reason for word in reason.split("|")), quarantined.reason
    with pytest.raises(Refused, match="broken"):
        catalogue.get("bad.step")


def test_a_name_that_is_taken_is_refused_naming_both(shop: Shop) -> None:
    shop.install("acme", good("acme.greet"))
    shop.install("beta", good("acme.greet"))
    catalogue = shop.load()
    assert catalogue.step_types["acme.greet"].origin.distribution == "acme"
    [quarantined] = catalogue.quarantined
    assert "beta" in quarantined.reason
    assert "acme 1.0" in quarantined.reason


def test_builtins_load_first_through_the_same_door() -> None:
    assert installed_plugins()[0].name == "builtin"
    assert "command.run" in load_catalogue().step_types


def test_the_template_passes_its_own_tests(tmp_path: Path) -> None:
    project = tmp_path / "acme"
    run_copy(str(TEMPLATE), project, data={"plugin": "acme"}, defaults=True, quiet=True)
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:asyncio", str(project / "tests")],
        cwd=project, env={"PYTHONPATH": str(project), "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("fields", "sound"),
    [
        ("file: BlueprintFile", True),
        ("file: BlueprintFile | None = None", True),
        ("files: list[BlueprintFile] = []", False),
        ("inner: Inner", False),
        ("either: BlueprintFile | int", False),
    ],
)
def test_a_file_of_the_blueprint_stands_directly_among_the_parameters(shop: Shop, fields: str, sound: bool) -> None:
    code = good("shop.greet").replace("    x: int = 1\n", f"    {fields}\n")
    inner = "class Inner(StepParams):\n    file: BlueprintFile\n"
    code = code.replace("class Params", f"from pilotage_plugin_api import BlueprintFile\n{inner}class Params")
    shop.install("shop", code)
    quarantined = shop.load().quarantined
    assert not quarantined if sound else "directly among the parameters" in quarantined[0].reason
