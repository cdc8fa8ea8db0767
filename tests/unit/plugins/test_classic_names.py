"""Every verb that a classic name stands for can really be run: by the built-in plugins, or on the coordinator."""

from pilotage_coordinator.domain.blueprint.form.aliases import ALIASES
from pilotage_coordinator.steps.catalogue import coordinator_types
from pilotage_plugin_api.catalogue import load_catalogue


def test_every_classic_name_leads_to_a_step_type() -> None:
    promised = {verb.type for alias in ALIASES.values() for verb in alias.actions.values()}
    assert promised - {*load_catalogue().step_types, *coordinator_types()} == set()
