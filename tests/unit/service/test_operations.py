"""Nothing that a face can do is missing from the matrix, and nothing in the matrix is without its faces."""

import inspect
import re
from typing import Any, get_args, get_origin, is_typeddict

import pytest
import typer.main
from pilotage_client import PilotageClient, answers
from pilotage_coordinator.api.routes import ROUTES
from pilotage_coordinator.cli.app import PLACES, app
from pilotage_coordinator.cli.deferred import load
from pilotage_coordinator.service.operations import OPERATIONS, OperationEffect
from pilotage_coordinator.service.verbs import ALL
from pydantic import BaseModel

COMMANDS = {
    "blueprint.list": "blueprint list",
    "blueprint.show": "blueprint show",
    "blueprint.validate": "blueprint validate",
    "blueprint.add": "blueprint add",
    "blueprint.choices": "blueprint choices",
    "plan.make": "plan",
    "plan.show": "plan",
    "run.start": "run start",
    "exec": "exec",
    "run.list": "run list",
    "run.show": "run show",
    "run.watch": "run watch",
    "run.replay": "replay",
    "run.close": "run close",
    "run.pause": "run pause",
    "run.resume": "run resume",
    "run.cancel": "run cancel",
    "run.retry": "run retry",
    "run.resolve": "run resolve",
    "run.release": "run release",
    "approval.list": "approval list",
    "approval.show": "approval show",
    "approval.approve": "approval approve",
    "approval.reject": "approval reject",
    "approval.delegate": "approval delegate",
    "approval.delegations": "approval delegations",
    "approval.undelegate": "approval undelegate",
    "schedule.create": "schedule create",
    "schedule.update": "schedule update",
    "schedule.enable": "schedule enable",
    "schedule.pause": "schedule pause",
    "schedule.resume": "schedule resume",
    "schedule.cancel": "schedule cancel",
    "schedule.run": "schedule run",
    "schedule.list": "schedule list",
    "schedule.show": "schedule show",
    "schedule.firings": "schedule firings",
    "schedule.upcoming": "schedule upcoming",
    "schedule.explain": "schedule explain",
    "logs.read": "logs",
    "logs.follow": "logs",
    "host.token": "host token",
    "host.list": "host list",
    "host.show": "host show",
    "host.set": "host set",
    "host.release": "host release",
    "host.revoke": "host revoke",
    "secret.set": "secret set",
    "secret.grant": "secret grant",
    "secret.list": "secret list",
    "secret.export": "secret export",
    "secret.rm": "secret rm",
    "policy.show": "policy show",
    "policy.history": "policy history",
    "policy.set": "policy set",
    "policy.rollback": "policy rollback",
    "policy.test": "policy test",
    "policy.explain": "policy explain",
    "compliance.check": "compliance check",
    "compliance.report": "compliance report",
    "notification.list": "notification list",
    "notification.retry": "notification retry",
    "audit.search": "audit search",
    "audit.verify": "audit verify",
    "audit.export": "audit export",
    "whoami": "whoami",
    "principal.add": "principal add",
    "principal.list": "principal list",
    "principal.show": "principal show",
    "principal.disable": "principal disable",
    "principal.enable": "principal enable",
    "principal.role": "principal role",
    "principal.keys": "principal keys",
    "role.list": "role list",
    "role.show": "role show",
    "role.set": "role set",
    "role.rm": "role rm",
    "token.create": "token create",
    "token.list": "token list",
    "token.rotate": "token rotate",
    "token.revoke": "token revoke",
    "backup.create": "backup create",
    "recovery.show": "backup accept",
    "recovery.sign": "backup accept",
    "doctor": "doctor",
    "coordinator.status": "coordinator status",
    "coordinator.authority": "coordinator authority",
    "coordinator.stop": "coordinator stop",
}
METHODS = {
    "run.start": "start_run",
    "exec": "exec_command",
    "doctor": "examine",
    "coordinator.status": "status",
    "coordinator.stop": "stop",
}
ANSWER_NAMES = {
    "GrantShape": "SecretGrant",
    "BlueprintSummary": "BlueprintSummary",
    "ParameterAnswer": "Parameter",
    "PlanAnswer": "Plan",
    "PlanStepAnswer": "PlanStep",
    "PlannedHostAnswer": "PlannedHost",
    "PlannedItemAnswer": "PlannedItem",
    "WaveAnswer": "Wave",
    "HealthAnswer": "Health",
    "ChangeAnswer": "Change",
    "PreviewAnswer": "Preview",
    "NoteAnswer": "Note",
    "RulingAnswer": "Ruling",
    "ComplianceRuleAnswer": "ComplianceRule",
    "ChangeRecordAnswer": "ChangeRecord",
    "RuleAnswer": "PolicyRule",
    "AffectedAnswer": "Affected",
    "CaseAnswer": "PolicyCase",
    "StepRunAnswer": "StepRun",
    "GateAnswer": "Gate",
    "EventAnswer": "Event",
    "ProgressAnswer": "Progress",
    "WatchAnswer": "Watched",
    "LogAnswer": "LogLine",
    "TokenAnswer": "Token",
    "SecretAnswer": "Secret",
    "NotificationAnswer": "Notification",
    "AskedAnswer": "Asked",
    "DecisionAnswer": "Decision",
    "DelegationAnswer": "Delegation",
    "AuditEntryAnswer": "AuditEntry",
    "WitnessAnswer": "Witness",
    "GrantAnswer": "Grant",
    "KeyAnswer": "PublicKey",
    "WhoamiAnswer": "Whoami",
    "ApiTokenAnswer": "ApiToken",
    "AuthorityAnswer": "Authority",
    "RecoveryAnswer": "Recovery",
    "FindingAnswer": "Finding",
    "StatusAnswer": "Status",
}


def test_each_operation_has_exactly_one_service_function() -> None:
    assert sorted(each.operation for each in ALL) == sorted(OPERATIONS)


def test_each_operation_has_exactly_one_route() -> None:
    assert sorted(route.verb.operation for route in ROUTES) == sorted(OPERATIONS)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.verb.operation)
def test_a_routes_path_names_fields_of_its_request_and_writes_are_no_gets(route: Any) -> None:
    names = re.findall(r"{(\w+)(?::path)?}", route.path)
    assert set(names) <= set(route.verb.request.model_fields)
    writes = OPERATIONS[route.verb.operation].effect is OperationEffect.WRITE
    asks = route.verb.operation in ("blueprint.validate", "policy.test", "policy.explain")
    assert (route.method == "GET") is not (writes or asks)


def test_every_write_is_audited_and_no_read_is() -> None:
    assert all(row.audited == (row.effect is OperationEffect.WRITE) for row in OPERATIONS.values())


def test_each_operation_has_a_command() -> None:
    assert COMMANDS.keys() == OPERATIONS.keys()


@pytest.mark.parametrize("words", sorted(set(COMMANDS.values())))
def test_the_command_exists_and_explains_itself(words: str) -> None:
    first, _, second = words.partition(" ")
    command = load(first, PLACES[first])
    if second:
        command = command.commands[second]
    assert command.help
    assert len(command.help) > 10


@pytest.mark.parametrize("place", sorted(PLACES))
def test_every_place_of_the_command_line_can_be_loaded(place: str) -> None:
    assert load(place, PLACES[place]).name == place
    assert PLACES[place].help.endswith(".")
    assert typer.main.get_command(app) is not None


@pytest.mark.parametrize("verb", ALL, ids=lambda verb: verb.operation)
def test_the_client_has_a_method_for_it_that_answers_the_same_fields(verb: Any) -> None:
    method = getattr(PilotageClient, METHODS.get(verb.operation, verb.function.__name__))
    assert method.__doc__
    promised = inspect.signature(method).return_annotation
    while not is_typeddict(promised):
        promised = get_args(promised)[0]
    model = verb.answer
    if "items" in model.model_fields and model.__name__.startswith("Page["):
        model = get_args(model.model_fields["items"].annotation)[0]
    _same(model, promised, set())


def _same(model: type[BaseModel], promised: Any, seen: set[str]) -> None:
    """Compare a model with the typed dictionary of its name, and everything inside."""
    if model.__name__ in seen:
        return
    seen.add(model.__name__)
    assert promised.__name__ == ANSWER_NAMES.get(model.__name__, model.__name__)
    assert set(model.model_fields) == set(promised.__annotations__) | {
        name for base in getattr(promised, "__orig_bases__", ()) for name in getattr(base, "__annotations__", ())
    }
    for field in model.model_fields.values():
        for inner in _models(field.annotation):
            _same(inner, getattr(answers, ANSWER_NAMES.get(inner.__name__, inner.__name__)), seen)


def _models(annotation: Any) -> list[type[BaseModel]]:
    if get_origin(annotation) is None:
        return [annotation] if isinstance(annotation, type) and issubclass(annotation, BaseModel) else []
    return [model for each in get_args(annotation) for model in _models(each)]
