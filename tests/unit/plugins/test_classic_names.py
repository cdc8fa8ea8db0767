"""Every verb that a classic name stands for can really be run: by the built-in plugins, or on the coordinator."""

from pilotage_coordinator.domain.blueprint.form.aliases import ALIASES
from pilotage_coordinator.steps.catalogue import coordinator_types
from pilotage_plugin_api.catalogue import load_catalogue

NOT_YET = {
    "resource.allocate",
    "resource.release",
    "snapshot.create",
    "snapshot.remove",
    "snapshot.restore",
}
"""What the table promises and nothing does yet. Whoever builds one takes it off this list."""


def test_every_classic_name_leads_to_a_step_type() -> None:
    promised = {verb.type for alias in ALIASES.values() for verb in alias.actions.values()}
    there = {*load_catalogue().step_types, *coordinator_types()}
    assert promised - there == NOT_YET
