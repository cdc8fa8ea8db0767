"""A verifier of exported audit logs, written from docs/audit.md alone: the standard library and Ed25519.

It imports nothing of the product, as an auditor's would not.

    python third_party.py FILE [FINGERPRINT]
"""

import base64
import hashlib
import json
import sys
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

BEGINNING = "sha256:" + "0" * 64


def problem(data: bytes, fingerprint: str = "") -> str:
    """Return what is wrong with an export, naming the line; empty when all holds."""
    *lines, rest = data.split(b"\n")
    if rest:
        return f"line {len(lines) + 1} does not end"
    before, count = BEGINNING, 0
    for number, line in enumerate(lines[:-1], start=1):
        try:
            entry = json.loads(line)
            if entry["sequence"] != count + 1 or isinstance(entry["sequence"], bool):
                return f"line {number}: not entry {count + 1}"
            if entry["previous"] != before:
                return f"line {number}: it does not follow"
        except (ValueError, KeyError, TypeError, RecursionError):
            return f"line {number}: no entry"
        before, count = "sha256:" + hashlib.sha256(line).hexdigest(), count + 1
    number = len(lines)
    try:
        head = json.loads(lines[-1])
        if head["sequence"] != count or head["hash"] != before:
            return f"line {number}: it does not end these entries"
        signed = f'pilotage audit head v1\n{{"hash":"{before}","log":"{head["log"]}","sequence":{count}}}'
        key, signature = bytes.fromhex(head["key"]), base64.b64decode(head["signature"])
        Ed25519PublicKey.from_public_bytes(key).verify(signature, signed.encode())
        if (key.hex(), base64.b64encode(signature).decode()) != (head["key"], head["signature"]):
            return f"line {number}: not as it is written"
    except (ValueError, KeyError, TypeError, IndexError, InvalidSignature):
        return f"line {number}: no signature of its key"
    if fingerprint and hashlib.sha256(key).hexdigest() != fingerprint:
        return f"line {number}: another key"
    return ""


if __name__ == "__main__":
    found = problem(Path(sys.argv[1]).read_bytes(), *sys.argv[2:3])
    sys.stdout.write((found or "sound") + "\n")
    sys.exit(bool(found))
