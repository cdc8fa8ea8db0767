"""What the digest of an attempt's result covers: one rule for both sides, which recompute each other's.

Standard library only.
"""

from pilotage_proto.canonical import canonical, digest_of_bytes


def result_digest(outcome: str, error: str, outputs: bytes) -> str:
    """Return the digest of the canonical form of `{"error", "outcome", "outputs"}`.

    `outputs` is in its canonical form already, as it may be large. Raises CanonicalError for an error that has none.
    """
    return digest_of_bytes(b'{"error":%b,"outcome":%b,"outputs":%b}' % (canonical(error), canonical(outcome), outputs))
