"""Taking the values of secrets out of whatever leaves a step: logs, outputs, errors, evidence.

One rule for both sides: the agent applies it where the words are made, the coordinator once more where they arrive. It
is a net, not a boundary: grants decide who gets a secret at all (SECURITY: Secrets), and a step that wants to tell one
can always write it in some way of its own. Standard library only.
"""

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote_from_bytes, quote_plus

MASK: Final = "[redacted]"
"""What stands in the place of a value."""

SHORTEST: Final = 4
"""Values of fewer bytes are not looked for: they would blot out ordinary text."""

SHORTEST_LINE: Final = 8
"""Lines of a value that are at least this long are also looked for by themselves."""

_MASK_BYTES: Final = MASK.encode()
_WRAPPED_AT: Final = (64, 76)
"""Where openssl and the program base64 begin a new line; both are whole groups of base64."""


class Redactor:
    """Replaces every known form of some values: as they are, base64 at each alignment, hexadecimal, URL, JSON, shell.

    Immutable after it was made; safe to share.
    """

    def __init__(self, values: Iterable[bytes] = ()) -> None:
        """Prepare for `values`; those shorter than SHORTEST bytes are left out."""
        forms = {form for value in values for part in _parts(value) for form in _forms(part)}
        self._forms: Final = sorted(forms, key=lambda form: (-len(form), form))
        self._pattern: Final = re.compile(b"|".join(map(re.escape, self._forms))) if forms else None

    def data(self, data: bytes) -> bytes:
        """Return `data` with every form of every value replaced by MASK."""
        return self._pattern.sub(_MASK_BYTES, data) if self._pattern and self._appears(data) else data

    def text(self, text: str) -> str:
        """Return `text` with every form of every value replaced by MASK."""
        if self._pattern is None:
            return text
        data = text.encode("utf-8", "surrogatepass")
        return _decoded(self._pattern.sub(_MASK_BYTES, data)) if self._appears(data) else text

    def value(self, value: Any) -> Any:
        """Return a JSON value with every string in it redacted, names of members included.

        A number whose digits are a value becomes MASK.
        """
        if self._pattern is None:
            return value
        match value:
            case str():
                return self.text(value)
            case Mapping():
                return {self.text(str(name)): self.value(member) for name, member in value.items()}
            case Sequence():
                return [self.value(item) for item in value]
            case int() | float() if not isinstance(value, bool) and self._appears(str(value).encode()):
                return MASK
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
            shown += (data[position : found.start()], _MASK_BYTES)
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
        return self._redactor.data(rest)


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        # A value that is no text began in the middle of a character.
        return data.decode("utf-8", "replace")


def _parts(value: bytes) -> list[bytes]:
    lines = [line for line in re.split(rb"[\r\n]+", value) if len(line.strip()) >= SHORTEST_LINE]
    parts = dict.fromkeys([value, value.strip(), *lines, *(line.strip() for line in lines)])
    return [part for part in parts if len(part) >= SHORTEST]


def _forms(value: bytes) -> set[bytes]:
    forms = {value, value.hex().encode(), value.hex().upper().encode(), *_base64_forms(value), *_shell_forms(value)}
    for safe in ("", "/"):
        quoted = quote_from_bytes(value, safe=safe)
        lower = re.sub("%[0-9A-F]{2}", lambda escape: escape[0].lower(), quoted)
        forms |= {quoted.encode(), lower.encode()}
    forms.add(quote_plus(value).encode())
    # Bytes that are no UTF-8 are logged with backslashes.
    text = value.decode("utf-8", "backslashreplace")
    return forms | {text.encode()} | set(_json_forms(text))


def _json_forms(text: str) -> Iterator[bytes]:
    for ascii_only in (True, False):
        escaped = json.dumps(text, ensure_ascii=ascii_only)[1:-1]
        upper = re.sub(r"\\u[0-9a-f]{4}", lambda escape: "\\u" + escape[0][2:].upper(), escaped)
        for one in (escaped, upper):
            yield one.encode()
            yield one.replace("/", "\\/").encode()
            # A record whose message already holds JSON: each backslash is escaped once more.
            yield json.dumps(one, ensure_ascii=ascii_only)[1:-1].encode()


def _shell_forms(value: bytes) -> set[bytes]:
    """Return how shells that trace their commands write a single quote inside quotes."""
    return {value.replace(b"'", quote) for quote in (b"'\\''", b"'\"'\"'")}


def _base64_forms(value: bytes) -> set[bytes]:
    """Return the base64 of the value, whole and in lines, and what of it stays when it stands inside longer data.

    Base64 groups three bytes; inside longer data the value may begin at each of the three places of a group. The
    characters that depend on its neighbours too are left off at both ends.
    """
    whole = base64.b64encode(value)
    forms = {whole, whole.rstrip(b"=")}
    for width in _WRAPPED_AT:
        lines = (whole[start : start + width] for start in range(0, len(whole), width))
        forms |= {line for line in lines if len(line) >= SHORTEST_LINE}
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + value).rstrip(b"=")
        forms.add(encoded[(0, 2, 3)[before] : len(encoded) - (0, 1, 1)[(before + len(value)) % 3]])
    forms = {form for form in forms if len(form) >= SHORTEST}
    return forms | {form.translate(bytes.maketrans(b"+/", b"-_")) for form in forms}
