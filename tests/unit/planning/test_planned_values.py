"""What a plan says of a parameter is looked up at a cost that does not depend on how many items there are."""

from collections.abc import Iterator

from pilotage_coordinator.domain.plan import Resolved
from pilotage_coordinator.domain.planning.planned_values import PlannedValues, has_mark


class Walked(tuple[str, ...]):
    """Keys of items that count how often somebody goes through them."""

    walks = 0

    def __iter__(self) -> Iterator[str]:
        type(self).walks += 1
        return super().__iter__()

    def __contains__(self, key: object) -> bool:
        type(self).walks += 1
        return super().__contains__(key)

    def index(self, *key: object) -> int:
        type(self).walks += 1
        return super().index(*key)  # type: ignore[arg-type]


def test_many_items_are_gone_through_once_for_each_loop_and_host() -> None:
    keys = Walked(f"i{number}" for number in range(500))
    of_items = tuple({"n": number} for number in range(500))
    values = PlannedValues({"a": {host: Resolved(items=keys, item_parameters=of_items) for host in ("h1", "h2")}})
    for host in ("h1", "h2"):
        assert [values.of("a", host, key)["n"] for key in tuple(keys)] == list(range(500))
    # Once more by the test itself, for each host.
    assert Walked.walks == 4


def test_what_is_the_same_everywhere_stands_below_what_a_host_and_an_item_have() -> None:
    resolved = {
        "": Resolved(parameters={"a": 1, "b": 1, "c": 1}),
        "h1": Resolved(items=("x",), parameters={"b": 2}, item_parameters=({"c": 3},)),
        "h2": Resolved(when=False),
    }
    values = PlannedValues({"s": resolved})
    assert values.of("s", "h1", "x") == {"a": 1, "b": 2, "c": 3}
    assert values.of("s", "h1", "of run time") == {"a": 1, "b": 2, "c": 1}
    assert values.of("s", "", "") == {"a": 1, "b": 1, "c": 1}
    assert values.of("t", "h1", "") == {}
    assert (values.left_out("s", "h2"), values.left_out("s", "h1"), values.left_out("t", "h1")) == (True, False, False)


def test_marks_are_found_at_any_depth() -> None:
    assert has_mark({"a": [{"run_time": "x"}]}, "run_time")
    assert not has_mark({"a": [{"run_time": "x", "other": 1}]}, "run_time", "sensitive")
    assert has_mark([{"sensitive": "hmac"}], "run_time", "sensitive")
