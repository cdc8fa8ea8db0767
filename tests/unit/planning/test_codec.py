"""Plans as JSON and back."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from pilotage_coordinator.domain.plan import (
    Batch,
    BlueprintRef,
    Effect,
    FailureKind,
    HostsFrom,
    OnFailure,
    OnOffline,
    Place,
    Plan,
    PlannedStep,
    Resolved,
    Retry,
    RollbackPlan,
    Rollout,
    RolloutFailure,
    StepKind,
    StepTypeUse,
)
from pilotage_coordinator.domain.planning.codec import digest, from_json, to_json
from pilotage_coordinator.domain.planning.errors import PlanUnreadable
from pilotage_coordinator.domain.share import Share

names = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=6)
numbers = st.integers(0, 2**40)
shares = st.builds(Share, st.integers(0, 99), st.booleans())
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)
mappings = st.dictionaries(names, json_values, max_size=3)
name_lists = st.lists(names, max_size=3).map(tuple)
uses = st.builds(StepTypeUse, names, names, names, names)
rollouts = st.builds(
    Rollout,
    max_parallel=st.none() | shares,
    batches=st.lists(st.builds(Batch, shares, numbers, names), max_size=2).map(tuple),
    max_failures=st.none() | shares,
    on_failure=st.sampled_from(RolloutFailure),
)
retries = st.builds(
    Retry,
    max_attempts=st.integers(1, 9),
    multiplier=st.floats(1, 9),
    jitter=st.floats(0, 1),
    on=st.frozensets(st.sampled_from(FailureKind)),
)


def steps(inner: st.SearchStrategy[tuple[PlannedStep, ...]]) -> st.SearchStrategy[PlannedStep]:
    return st.builds(
        PlannedStep,
        path=names,
        kind=st.sampled_from(StepKind),
        type=st.none() | uses,
        type_on=st.dictionaries(names, uses, max_size=2),
        effect=st.sampled_from(Effect),
        place=st.sampled_from(Place),
        parameters=mappings,
        hosts=name_lists,
        hosts_from=st.none() | st.builds(HostsFrom, names, name_lists, st.none() | shares, names),
        for_each=st.none() | names | st.lists(json_values, max_size=2).map(tuple),
        rollout=rollouts,
        retry=retries,
        on_offline=st.sampled_from(OnOffline),
        on_failure=st.sampled_from(OnFailure),
        undo_steps=inner,
        planned_outputs=mappings,
        planned_items=st.dictionaries(names, st.lists(json_values, max_size=2), max_size=2),
        call=st.none() | st.builds(BlueprintRef, names, names, names),
        targets=name_lists,
        arguments=mappings,
        outputs=st.dictionaries(names, names, max_size=2),
        steps=inner,
        finally_=inner,
    )


leaves = steps(st.just(()))
nested = steps(st.lists(leaves, max_size=1).map(tuple))
resolved = st.builds(
    Resolved,
    when=st.none() | st.booleans(),
    items=st.none() | name_lists,
    parameters=mappings,
    item_parameters=st.lists(mappings, max_size=2).map(tuple),
)
plans = st.builds(
    Plan,
    blueprint=st.builds(BlueprintRef, names, names, names),
    parameters=mappings,
    targets=name_lists,
    steps=st.lists(nested, max_size=2).map(tuple),
    finally_=st.lists(leaves, max_size=1).map(tuple),
    rollback=st.none() | st.builds(RollbackPlan, name_lists, st.lists(leaves, max_size=1).map(tuple)),
    deadline=numbers,
    resolved=st.dictionaries(names, st.dictionaries(names, resolved, max_size=2), max_size=2),
)


@settings(max_examples=25, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(plans)
def test_every_plan_comes_back_the_same(plan: Plan) -> None:
    plan = replace(plan, digest=digest(plan))
    again = from_json(json.loads(json.dumps(to_json(plan))))
    assert again == plan
    assert digest(again) == plan.digest
    assert json.dumps(to_json(again)) == json.dumps(to_json(plan)), "kinds of numbers are kept: 2.0 stays 2.0"


SMALL = Plan(BlueprintRef("a", "1.0.0", "sha256:0"), {"x": 2.0}, ("db1",), (PlannedStep("a", StepKind.LEAF),))
SMALL = replace(SMALL, digest=digest(SMALL))


def test_what_a_plan_does_not_use_is_not_written() -> None:
    assert to_json(SMALL)["steps"] == [{"path": "a", "kind": "leaf"}]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"plan": 3}, "form 3"),
        ({"plan": None}, "form None"),
        ({"digest": "sha256:1"}, "the plan's digest is sha256:1"),
        ({"targets": ["db2"]}, "that of its content"),
        ({"surprise": 1}, "does not know surprise"),
        ({"targets": "db1"}, "plan.targets"),
        ({"deadline": "soon"}, "plan.deadline"),
        ({"deadline": True}, "plan.deadline"),
        ({"on_failure": "panic"}, "panic"),
        ({"steps": [{"path": "a"}]}, "kind"),
        ({"steps": [{"path": "a", "kind": "leaf", "undo": "maybe"}]}, "undo"),
        ({"steps": [[]]}, "expected an object"),
    ],
)
def test_what_is_no_plan_is_refused_with_its_place(change: dict[str, Any], why: str) -> None:
    with pytest.raises(PlanUnreadable, match=why):
        from_json({**to_json(SMALL), **change})


def test_no_object_is_refused() -> None:
    with pytest.raises(PlanUnreadable, match="JSON object"):
        from_json([])
