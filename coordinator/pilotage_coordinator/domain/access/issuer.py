"""An issuer of identity tokens whose word counts here: whom its tokens stand for, and what its groups give."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

ALGORITHMS: Final = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
)  # fmt: skip
"""The signatures that may be allowed: all made with a private key that only the issuer has."""


@dataclass(frozen=True, slots=True)
class Issuer:
    """What the settings say of it. Durations are microseconds."""

    issuer: str
    """What `iss` of its tokens must be, letter by letter."""
    audience: str
    """What `aud` of its tokens must name: this coordinator, as the issuer knows it."""
    principal_claim: str = "sub"
    """The claim that says who somebody is."""
    principals: Mapping[str, str] = field(default_factory=dict)
    """The claim's value to the name of a principal; where it is empty, the value is the name itself."""
    groups_claim: str = ""
    """The claim that lists somebody's groups; empty: groups give nothing."""
    roles: Mapping[str, str] = field(default_factory=dict)
    """Group to the role that it gives, while the token is shown and no longer."""
    algorithms: tuple[str, ...] = ("RS256", "PS256", "ES256", "EdDSA")
    keys_url: str = ""
    """Where its public keys are; empty: its discovery document says so."""
    leeway: int = 30_000_000
    """By how much its clock and ours may differ."""
    ca_file: str = ""
    """PEM of authorities to trust in place of the system's."""


def claim_of(claims: Mapping[str, object], name: str) -> object:
    """Return a claim by its name, or by a path with dots into claims that hold others; None where there is none."""
    if name in claims:
        return claims[name]
    value: object = claims
    for part in name.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return None
        value = value[part]
    return value
