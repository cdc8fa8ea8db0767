"""Templates in Jinja's language, rendered in its sandbox. Imported only when a step runs (see template.py).

What a template sees is what it is given, and the same values give the same text: nothing random, no clock, no other
file. A name that is not there is an error, and so is a null inside the text.
"""

import traceback
from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment
from pilotage_plugin_api import Refused, StepFailed

LARGEST_RESULT: Final = 1024 * 1024
"""Bytes of the rendered text."""
_RANDOM_FILTERS: Final = ("random",)
_RANDOM_GLOBALS: Final = ("lipsum",)


def render(name: str, template: str, values: Mapping[str, Any], checkpoint: Callable[[], None]) -> str:
    """Return the rendered text; `name` stands for the template in errors, `checkpoint` is called now and then.

    Raises Refused for a template that cannot be read and for a name that it uses and `values` lacks, StepFailed for one
    that fails otherwise or makes more than 1 MiB. Blocking.
    """
    pieces: list[str] = []
    size = 0
    try:
        for piece in _environment().from_string(template).generate(dict(values)):
            checkpoint()
            size += len(piece.encode("utf-8", "surrogatepass"))
            if size > LARGEST_RESULT:
                raise StepFailed(f"the template {name} makes more than {LARGEST_RESULT} bytes")
            pieces.append(piece)
    except jinja2.TemplateSyntaxError as error:
        raise Refused(f"the template {name} cannot be read, line {error.lineno}: {error.message}") from None
    except jinja2.UndefinedError as error:
        raise Refused(
            f"the template {name}, line {_line(error)}: {error.message}; give it in `values`, or write"
            " {{ x | default('…') }}"
        ) from None
    except jinja2.TemplateNotFound as error:
        raise Refused(f"the template {name} asks for {error.name!r}: templates stand alone, without includes") from None
    except (jinja2.TemplateError, ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise StepFailed(f"the template {name} fails in line {_line(error)}: {error}") from None
    text = "".join(pieces)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise StepFailed(f"the template {name} makes a text that is no UTF-8 (half a surrogate pair)") from None
    return text


def _environment() -> jinja2.Environment:
    """Return the surroundings of one template; a block's own line leaves no empty line."""
    environment = ImmutableSandboxedEnvironment(
        undefined=jinja2.StrictUndefined,
        loader=jinja2.DictLoader({}),
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_no_null,
        autoescape=False,
    )
    for name in _RANDOM_FILTERS:
        del environment.filters[name]
    for name in _RANDOM_GLOBALS:
        del environment.globals[name]
    return environment


def _no_null(value: Any) -> Any:
    return _refuse_null() if value is None else value


def _refuse_null() -> NoReturn:
    raise jinja2.TemplateRuntimeError("null has no place inside a text: write {{ x | default('…', true) }}")


def _line(error: BaseException) -> str:
    """Return where in the template it happened, as Jinja puts it into the traceback; "?" when it does not."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == "<template>"]
    return str(lines[-1]) if lines else "?"
