"""How much one side may send to the other. Both keep these bounds: what is larger is sent in parts or refused by name.

Bytes, unless a name says otherwise.
"""

from typing import Final

LARGEST_MESSAGE: Final = 4 * 1024 * 1024
"""One message of the session stream, in either direction; gRPC ends a stream that carries a larger one."""

LARGEST_ITEM: Final = 2 * 1024 * 1024
"""One assignment or query. With FULL_MESSAGE it makes sure that no message grows too large."""

FULL_MESSAGE: Final = 1024 * 1024
"""After so much no further item is put into the same message."""

MOST_ITEMS: Final = 1_000
"""Items in one message, a count."""

LARGEST_JSON: Final = 1024 * 1024
"""One JSON field from an agent: facts, step types, the answer to a query."""

LARGEST_OUTPUTS: Final = 64 * 1024
"""The outputs of one attempt in their canonical form: larger ones are refused where they are made and where they
come."""

LARGEST_EVIDENCE: Final = 32 * 1024
"""What an agent adds about how an attempt ended."""

LARGEST_LOG: Final = 1024 * 1024
"""The data of one log chunk."""

LONGEST_TEXT: Final = 16 * 1024
"""Characters of an error or a reason."""
