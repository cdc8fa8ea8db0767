"""A running agent's way to `signing.py`: in a child process that ends with the answer."""

import asyncio
import base64
import json
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from pilotage_agent.errors import EnrolmentFailed

SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A PKCS#10 request, DER, and the proof of the key for it at the time that was given."""

    request: bytes
    proof: bytes


async def sign_request(key_pem: bytes, name: str, at: int = 0) -> SignedRequest:
    """Ask for a new certificate; the proof is for the time `at`, UTC microseconds. Raises EnrolmentFailed."""
    answer = await _ask({"key": key_pem.decode(), "name": name, "at": at})
    return SignedRequest(base64.b64decode(answer["request"]), base64.b64decode(answer["proof"]))


async def check_chain(certificates: Iterable[bytes], key_pem: bytes, pin: str) -> tuple[bytes, ...]:
    """Return what the server issued, when it is for our key and by the pinned CA; raises EnrolmentFailed."""
    chain = tuple(certificates)
    await _ask({"key": key_pem.decode(), "chain": [base64.b64encode(one).decode() for one in chain], "pin": pin})
    return chain


async def _ask(task: dict[str, Any]) -> dict[str, Any]:
    """Let the child do it; the key goes through a pipe."""
    try:
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "pilotage_agent.link.signing"],
            input=json.dumps(task).encode(),
            capture_output=True,
            timeout=SECONDS,
            check=True,
        )
        answer: dict[str, Any] = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise EnrolmentFailed(f"the process that signs for this agent failed: {type(error).__name__}") from error
    if "error" in answer:
        raise EnrolmentFailed(str(answer["error"]))
    return answer
