"""A person's key signs what they answered, never what a coordinator would like to have signed."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from pilotage_coordinator.cli.commands import approval, host
from pilotage_coordinator.cli.exits import NotUnderstood
from pilotage_proto import delegation
from pilotage_proto.decision import NAMESPACE, Statement

DIGEST = "sha256:" + "1" * 64
OTHER = Statement("apr_2", "approve", "sha256:" + "2" * 64).signed_bytes().decode()
HONEST: dict[str, Any] = {
    "id": "apr_1",
    "plan_digest": DIGEST,
    "plan": {"digest": DIGEST},
    "asked": {"comment": False},
    "keys": ["ssh-ed25519 AAAA"],
    "namespace": NAMESPACE,
    "to_approve": Statement("apr_1", "approve", DIGEST).signed_bytes().decode(),
    "to_reject": Statement("apr_1", "reject", DIGEST).signed_bytes().decode(),
}


def signed(monkeypatch: pytest.MonkeyPatch, answer: str, shown: dict[str, Any]) -> tuple[str, str]:
    """Answer `apr_1` to a coordinator that shows this, and return what was signed, and for what."""
    found: list[tuple[str, str]] = []

    async def sign(statement: str, namespace: str, registered: object, key: object) -> str:
        found.append((statement, namespace))
        return "proof"

    async def show(id: str) -> Any:
        return shown

    async def send(id: str, proof: str, comment: str) -> None:
        assert (id, proof) == ("apr_1", "proof")

    screen: Any = SimpleNamespace(json=True, object=lambda row: None)
    client: Any = SimpleNamespace(show_approval=show, approve=send, reject=send)
    monkeypatch.setattr(approval, "signature", sign)
    monkeypatch.setattr(approval, "perform", lambda context, work: asyncio.run(work(client, screen)))
    command: Any = getattr(approval, answer)
    context: Any = None
    command(context, "apr_1", yes=True)
    (one,) = found
    return one


@pytest.mark.parametrize("answer", ["approve", "reject"])
@pytest.mark.parametrize(
    "lie", [{}, {"to_approve": OTHER, "to_reject": OTHER}, {"to_reject": HONEST["to_approve"]}, {"namespace": "git"}]
)
def test_it_signs_the_answer_that_was_given(monkeypatch: pytest.MonkeyPatch, answer: str, lie: dict[str, Any]) -> None:
    assert signed(monkeypatch, answer, {**HONEST, **lie}) == (HONEST[f"to_{answer}"], NAMESPACE)


@pytest.mark.parametrize("lie", [{"id": "apr_2"}, {"plan_digest": "sha256:2"}, {"plan": {"digest": "sha256:2"}}])
def test_it_signs_nothing_where_something_else_is_shown(monkeypatch: pytest.MonkeyPatch, lie: dict[str, Any]) -> None:
    with pytest.raises(NotUnderstood, match="nothing is signed"):
        signed(monkeypatch, "approve", {**HONEST, **lie})


def test_host_show_tells_what_a_host_wants_signed() -> None:
    wanted = {"steps": "all", "quorum": 2, "approvers": 3, "unsigned": ["discovery.*"]}
    shown: Any = {"facts": {"signed_plans": wanted}}
    (said,) = host._signatures(shown)
    assert "every step only with the signatures of 2 of its 3 pinned approvers; none for discovery.*" in said
    shown["facts"] = {}
    assert not list(host._signatures(shown))


def test_what_is_sent_to_lend_a_say_is_what_was_signed_by_a_registered_key(monkeypatch: pytest.MonkeyPatch) -> None:
    signed, sent = [], []

    async def sign(statement: str, namespace: str, registered: object, key: object) -> str:
        assert (namespace, registered, key) == (delegation.NAMESPACE, ["ssh-ed25519 AAAA"], None)
        signed.append(statement)
        return "proof"

    async def whoami() -> Any:
        return {"principal": "anna"}

    async def show_principal(name: str) -> Any:
        return {"keys": [{"line": "ssh-ed25519 AAAA"}]} if name == "anna" else {}

    async def delegate(to: str, until: Any, *, since: Any, proof: str, reason: str) -> None:
        assert (proof, reason) == ("proof", "on leave")
        sent.append(delegation.Lending("anna", to, since, until).signed_bytes().decode())

    screen: Any = SimpleNamespace(json=True, object=lambda row: None)
    client: Any = SimpleNamespace(whoami=whoami, show_principal=show_principal, delegate=delegate)
    monkeypatch.setattr(approval, "signature", sign)
    monkeypatch.setattr(approval, "perform", lambda context, work: asyncio.run(work(client, screen)))
    context: Any = None
    for since in (None, "2d"):
        approval.delegate(context, "bob", until="14d", since=since, reason="on leave")
    assert len(sent) == 2
    assert sent == signed
