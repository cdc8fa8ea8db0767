"""Identity tokens (JWT) of an outside issuer: whether one holds now, and what it says. PyJWT does the signatures.

Nothing of a token is believed before its signature is good, made by a public key of the issuer that fits the algorithm,
which is one of those allowed: never `none`, never a shared secret. Times are compared with a clock that is given.
"""

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import jwt

from pilotage_coordinator.domain.access.issuer import Issuer
from pilotage_coordinator.security.errors import TokenRefused

LARGEST: Final = 16 * 1024
"""Characters of a token that is looked at."""
MOST_KEYS: Final = 100
LONGEST_LIFE: Final = 86_400
"""Seconds: a token that was made to live longer is refused, for nobody here could take it back."""
LEAST_RSA_BITS: Final = 2048
_FORM: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_FAMILIES: Final = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}
_SECOND: Final = 1_000_000
_NEEDED: Final = ("iss", "aud", "sub", "exp", "iat")


@dataclass(frozen=True, slots=True)
class Header:
    """How a token says that it is signed. Nobody has vouched for it yet."""

    algorithm: str
    key: str
    """Id of the key; may be empty."""


@dataclass(frozen=True, slots=True)
class IssuerKey:
    """A public key of the issuer."""

    id: str
    family: str
    """RSA, EC or OKP."""
    algorithm: str
    """The only one that it is for; empty: any of its family."""
    document: Mapping[str, Any] = field(repr=False)

    def fits(self, header: Header) -> bool:
        """Return whether a token with this header can be signed by it."""
        family = _FAMILIES.get(header.algorithm[:2])
        return (
            self.family == family
            and self.algorithm in ("", header.algorithm)
            and (not header.key or header.key == self.id)
        )


@dataclass(frozen=True, slots=True)
class Claims:
    """What a good token says."""

    id: str
    """What logs call it by: made of the token, and nobody can make the token of it."""
    expires_at: int
    """UTC microseconds."""
    all: Mapping[str, Any] = field(repr=False)


def read_header(text: str, issuer: Issuer) -> Header:
    """Return a token's header; raises TokenRefused for what cannot be a token, or is signed in a way not allowed."""
    if len(text) > LARGEST or _FORM.fullmatch(text) is None:
        raise TokenRefused("this is no identity token: it is cut off, changed, or too long")
    try:
        header = jwt.get_unverified_header(text)
    except (jwt.PyJWTError, ValueError, RecursionError) as error:
        raise TokenRefused("the identity token cannot be read") from error
    algorithm, key = header.get("alg"), header.get("kid", "")
    if not isinstance(algorithm, str) or algorithm not in issuer.algorithms:
        raise TokenRefused(f"the identity token is signed by an algorithm that is not among {issuer.algorithms}")
    if "crit" in header or not isinstance(key, str):
        raise TokenRefused("the identity token asks for something that is not understood here")
    return Header(algorithm, key)


def read_keys(document: object) -> tuple[IssuerKey, ...]:
    """Return the usable public keys of a key set (JWKS); raises TokenRefused when it is none."""
    keys = document.get("keys") if isinstance(document, Mapping) else None
    if not isinstance(keys, list) or len(keys) > MOST_KEYS:
        raise TokenRefused("the issuer's keys cannot be read: this is no key set, or too large a one")
    found = []
    for each in keys:
        if not isinstance(each, Mapping) or each.get("use", "sig") != "sig":
            continue
        texts = [each.get("kid", ""), each.get("kty"), each.get("alg", "")]
        id_, family, algorithm = (text if isinstance(text, str) else "?" for text in texts)
        if family in _FAMILIES.values() and "?" not in (id_, algorithm):
            found.append(IssuerKey(id_, family, algorithm, each))
    return tuple(found)


def verified(text: str, header: Header, keys: Sequence[IssuerKey], issuer: Issuer, now: int) -> Claims:
    """Return what a token says, once one of the keys has signed it and it holds at `now` (UTC microseconds).

    Raises TokenRefused.
    """
    fitting = [key for key in keys if key.fits(header)]
    if not fitting:
        raise TokenRefused("the identity token is signed with a key that the issuer does not have (any more)")
    if not header.key and len(fitting) > 1:
        raise TokenRefused("the identity token does not say by which of the issuer's keys it is signed")
    try:
        claims = _decoded(text, header, fitting[0], issuer)
    except jwt.InvalidAudienceError as error:
        raise TokenRefused(f"the identity token is not for {issuer.audience}") from error
    except jwt.InvalidIssuerError as error:
        raise TokenRefused(f"the identity token is not by {issuer.issuer}") from error
    except jwt.MissingRequiredClaimError as error:
        raise TokenRefused(f"the identity token lacks `{error.claim}`") from error
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
        raise TokenRefused("the identity token is not signed by its issuer, or cannot be read") from error
    expires = _held(claims, now / _SECOND, issuer.leeway / _SECOND)
    return Claims("jwt_" + hashlib.sha256(text.encode()).hexdigest()[:16], int(expires * _SECOND), claims)


def _decoded(text: str, header: Header, key: IssuerKey, issuer: Issuer) -> Mapping[str, Any]:
    public = jwt.PyJWK(dict(key.document), algorithm=header.algorithm).key
    if getattr(public, "key_size", LEAST_RSA_BITS) < LEAST_RSA_BITS and key.family == "RSA":
        raise TokenRefused(f"the issuer's key has fewer than {LEAST_RSA_BITS} bits")
    claims: Mapping[str, Any] = jwt.decode(
        text,
        public,
        algorithms=[header.algorithm],
        audience=issuer.audience,
        issuer=issuer.issuer,
        # Times are compared below, with the coordinator's clock.
        options={"require": list(_NEEDED), "verify_exp": False, "verify_nbf": False, "verify_iat": False},
    )
    return claims


def _held(claims: Mapping[str, Any], now: float, leeway: float) -> float:
    """Return when a token ends (UTC seconds); raises TokenRefused when it does not hold now."""
    expires, issued = _time(claims, "exp"), _time(claims, "iat")
    if now >= expires + leeway:
        raise TokenRefused("the identity token has expired")
    if issued > now + leeway or _time(claims, "nbf", issued) > now + leeway:
        raise TokenRefused("the identity token does not hold yet; compare the clocks of both machines")
    if expires - issued > LONGEST_LIFE:
        raise TokenRefused("the identity token lives longer than a day; let the issuer make shorter ones")
    return expires


def _time(claims: Mapping[str, Any], name: str, otherwise: float | None = None) -> float:
    value = claims.get(name, otherwise)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise TokenRefused(f"`{name}` of the identity token is no time")
    return float(value)
