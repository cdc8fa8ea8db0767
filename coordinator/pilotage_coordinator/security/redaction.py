"""Removing secret values from text that leaves a step: raw, base64, URL, JSON and hexadecimal forms.

Redaction is a net, not a boundary: grants decide who gets a secret at all (SECURITY: Secrets).
"""

import base64
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final
from urllib.parse import quote_from_bytes, quote_plus

from pilotage_coordinator.domain.plan import Json

MASK: Final = b"[redacted]"
SHORTEST: Final = 4
"""Values of fewer bytes are not looked for: they would blot out ordinary text."""
SHORTEST_LINE: Final = 8
"""Lines of a value that are at least this long are also looked for by themselves."""


class Redactor:
    """Replaces every known form of some secret values. Immutable after it was made; safe to share."""

    def __init__(self, values: Iterable[bytes]) -> None:
        """Prepare for `values`; those shorter than SHORTEST bytes are left out."""
        forms = {form for value in values for part in _parts(value) for form in _forms(part)}
        self._forms: Final = sorted(forms, key=lambda form: (-len(form), form))
        self._longest: Final = max(map(len, forms), default=0)
        self._pattern: Final = re.compile(b"|".join(map(re.escape, self._forms))) if forms else None

    def redact(self, data: bytes) -> bytes:
        """Return `data` with every form of every value replaced by MASK."""
        return self._pattern.sub(MASK, data) if self._pattern and self._appears(data) else data

    def redact_text(self, text: str) -> str:
        """Return `text` with every form of every value replaced by MASK."""
        if self._pattern is None:
            return text
        return self.redact(text.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")

    def redact_json(self, value: Json) -> Json:
        """Return `value` with every text inside it redacted, names of members included."""
        if self._pattern is None:
            return value
        match value:
            case str():
                return self.redact_text(value)
            case Mapping():
                return {self.redact_text(key): self.redact_json(member) for key, member in value.items()}
            case Sequence():
                return [self.redact_json(item) for item in value]
            case _:
                return value

    def stream(self) -> "RedactingStream":
        """Return a redactor for one stream that comes in chunks."""
        return RedactingStream(self)

    def split(self, data: bytes) -> tuple[bytes, bytes]:
        """Return what of `data` can be shown, redacted, and the rest, which may be the beginning of a value."""
        if self._pattern is None:
            return data, b""
        shown: list[bytes] = []
        position = 0
        hold = self._hold(data, position)
        if not self._appears(data):
            return data[:hold], data[hold:]
        while (found := self._pattern.search(data, position)) and found.start() < hold:
            shown += (data[position : found.start()], MASK)
            position = found.end()
            if position > hold:
                hold = self._hold(data, position)
        shown.append(data[position:hold])
        return b"".join(shown), data[hold:]

    def _appears(self, data: bytes) -> bool:
        """Return whether any form is in `data`: plain searches are several times quicker than the pattern."""
        return any(form in data for form in self._forms)

    def _hold(self, data: bytes, start: int) -> int:
        """Return where the longest end of `data` begins that could still grow into a form."""
        hold = len(data)
        for form in self._forms:
            candidate = data.find(form[0], max(start, len(data) - len(form) + 1))
            while 0 <= candidate < hold:
                if form.startswith(data[candidate:]):
                    hold = candidate
                candidate = data.find(form[0], candidate + 1)
        return hold


class RedactingStream:
    """Redacts a stream so that a value split over chunks is found all the same."""

    def __init__(self, redactor: Redactor) -> None:
        """Start at the beginning of the stream."""
        self._redactor = redactor
        self._rest = b""

    def feed(self, chunk: bytes) -> bytes:
        """Take the next chunk; return what can be shown now. Holds back less than the longest form."""
        shown, self._rest = self._redactor.split(self._rest + chunk)
        return shown

    def finish(self) -> bytes:
        """Return what was held back; the stream has ended."""
        rest, self._rest = self._rest, b""
        return self._redactor.redact(rest)


def _parts(value: bytes) -> list[bytes]:
    lines = [line for line in re.split(rb"[\r\n]+", value) if len(line) >= SHORTEST_LINE]
    stripped = value.strip()
    return [part for part in dict.fromkeys([value, stripped, *lines]) if len(part) >= SHORTEST]


def _forms(value: bytes) -> set[bytes]:
    forms = {value, value.hex().encode(), value.hex().upper().encode()}
    forms |= _base64_forms(value)
    for safe in ("", "/"):
        quoted = quote_from_bytes(value, safe=safe)
        lower = re.sub("%[0-9A-F]{2}", lambda escape: escape[0].lower(), quoted)
        forms |= {quoted.encode(), lower.encode()}
    forms.add(quote_plus(value).encode())
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return forms
    for ascii_only in (True, False):
        escaped = json.dumps(text, ensure_ascii=ascii_only)[1:-1]
        forms |= {escaped.encode(), escaped.replace("/", "\\/").encode()}
        # A record whose message already holds JSON: each backslash is escaped once more.
        forms.add(json.dumps(escaped, ensure_ascii=ascii_only)[1:-1].encode())
    return forms


def _base64_forms(value: bytes) -> set[bytes]:
    """Return the characters of base64 that depend on `value` alone, at each of the three alignments."""
    forms = set()
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + value).rstrip(b"=")
        core = encoded[(0, 2, 3)[before] : len(encoded) - (0, 1, 1)[(before + len(value)) % 3]]
        if len(core) >= SHORTEST:
            forms |= {core, core.translate(bytes.maketrans(b"+/", b"-_"))}
    return forms
