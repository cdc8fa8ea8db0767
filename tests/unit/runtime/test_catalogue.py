"""One answer for each step type, which one hostile host cannot change."""

from collections.abc import Mapping

from pilotage_coordinator.domain.inventory import Host
from pilotage_coordinator.domain.plan import Effect
from pilotage_coordinator.domain.step_type import StepTypeInfo
from pilotage_coordinator.runtime.catalogue import agree
from pilotage_proto.canonical import digest


def info(name: str = "command.run", effect: Effect = Effect.ONCE, **schema: str) -> StepTypeInfo:
    return StepTypeInfo(name=name, effect=effect, params_schema=schema, digest=digest(schema))


def host(name: str, types: Mapping[str, StepTypeInfo], added_at: int = 0) -> Host:
    return Host(id=f"hst_{name}", name=name, step_types=types, added_at=added_at)


HONEST = {"command.run": info(), "file.write": info("file.write", Effect.IDEMPOTENT)}
HOSTILE = {"command.run": info(effect=Effect.READ, type="anything")}


def test_most_hosts_are_believed_whatever_the_order() -> None:
    hosts = [host("a", HONEST, 5), host("b", dict(HONEST), 6), host("zz", HOSTILE, 1), host("new", {}, 2)]
    for order in (hosts, hosts[::-1]):
        found = agree(order)
        assert found.step_types["command.run"].effect is Effect.ONCE
        assert found.dissenters == {"command.run": ("zz",)}


def test_of_two_the_one_that_joined_first_is_believed() -> None:
    for order in ([host("a", HONEST, 1), host("b", HOSTILE, 2)], [host("b", HOSTILE, 2), host("a", HONEST, 1)]):
        assert agree(order).step_types["command.run"].effect is Effect.ONCE
    found = agree([host("a", HONEST, 2), host("b", HOSTILE, 1)])
    assert found.step_types["command.run"].effect is Effect.READ
    assert found.dissenters == {"command.run": ("a",)}


def test_what_one_host_alone_offers_is_offered_and_nobody_dissents() -> None:
    found = agree([host("a", HONEST), host("b", {"acme.greet": info("acme.greet")})])
    assert set(found.step_types) == {"command.run", "file.write", "acme.greet"}
    assert found.dissenters == {}
