"""An issuer of identity tokens on the loopback address: its discovery document, its keys, and what it signs."""

import json
import threading
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import get_default_algorithms

from tests.unit.service.desk import NOW

SECOND = 1_000_000


@dataclass(frozen=True)
class SigningKey:
    """A private key of the issuer."""

    id: str
    algorithm: str
    private: Any

    @classmethod
    def new(cls, id: str, algorithm: str = "ES256", bits: int = 2048) -> "SigningKey":
        if algorithm == "EdDSA":
            return cls(id, algorithm, ed25519.Ed25519PrivateKey.generate())
        if algorithm.startswith("ES"):
            return cls(id, algorithm, ec.generate_private_key(ec.SECP256R1()))
        return cls(id, algorithm, rsa.generate_private_key(65537, bits))

    @property
    def public(self) -> dict[str, Any]:
        """Return it as a key set has it."""
        written = get_default_algorithms()[self.algorithm].to_jwk(self.private.public_key())
        return {**json.loads(written), "kid": self.id, "use": "sig", "alg": self.algorithm}


@dataclass
class LoopbackIssuer:
    """Serves what a browserless client of an identity provider needs, and counts what it is asked."""

    keys: list[SigningKey] = field(default_factory=lambda: [SigningKey.new("one")])
    asked: list[str] = field(default_factory=list)
    answers: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    """Path to what is answered there in place of what belongs there."""
    _server: ThreadingHTTPServer = field(init=False)

    def __post_init__(self) -> None:
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked.append(self.path)
                status, body = issuer.answers.get(self.path) or issuer.answer(self.path)
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", issuer.url + "/elsewhere")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def answer(self, path: str) -> tuple[int, bytes]:
        if path == "/.well-known/openid-configuration":
            return 200, json.dumps({"issuer": self.url, "jwks_uri": f"{self.url}/keys"}).encode()
        if path == "/keys":
            return 200, json.dumps({"keys": [key.public for key in self.keys]}).encode()
        return 404, b"{}"

    def token(self, key: SigningKey | None = None, headers: Mapping[str, Any] | None = None, **claims: Any) -> str:
        """Sign a token of five minutes; a claim of None is left out."""
        signer, now = key or self.keys[0], NOW // SECOND
        given = {
            "iss": self.url, "aud": "pilotage", "sub": "bob", "iat": now, "nbf": now, "exp": now + 300, **claims,
        }  # fmt: skip
        payload = {name: value for name, value in given.items() if value is not None}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of weak keys, which attackers do not mind
            return jwt.encode(payload, signer.private, signer.algorithm, {"kid": signer.id, **(headers or {})})

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
