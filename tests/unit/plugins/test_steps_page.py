"""docs/steps.md and docs/parameters.md say of every built-in step type what its code says."""

from pilotage_plugin_api.catalogue import load_catalogue

from tests.unit.plugins.reference import PAGE, PARAMETERS, parameters, with_table


def test_the_table_is_made_from_the_code() -> None:
    page = PAGE.read_text()
    assert with_table(page) == page, "write it anew: python -m tests.unit.plugins.reference"


def test_the_parameters_are_those_of_the_code() -> None:
    assert PARAMETERS.read_text() == parameters(), "write it anew: python -m tests.unit.plugins.reference"


def test_what_the_text_names_is_there() -> None:
    known = {*load_catalogue().step_types, "validation.assert", "gate.pause", "notify.send"}
    families = {name.partition(".")[0] for name in known}
    text = PAGE.read_text()
    named = {word for word in text.split("`")[1::2] if word.partition(".")[0] in families and word.count(".") == 1}
    assert named - known <= {f"{family}.*" for family in families}
