"""What a Prometheus server answers to a query (`/api/v1/query`)."""

import json
from typing import Any, Final
from urllib.parse import urlencode, urlsplit, urlunsplit

from pilotage_plugin_api import InfrastructureFailed, Refused, StepFailed

from pilotage_plugins.metric.exposition import Sample, number_of

_ITS_FAULT: Final = ("timeout", "canceled", "unavailable", "internal")
_OUR_FAULT: Final = ("bad_data", "execution")


def query_url(server: str, query: str) -> str:
    """Return the address that answers the query; `server` is the server's own, with the path it stands under."""
    parts = urlsplit(server)
    path = f"{parts.path.rstrip('/')}/api/v1/query"
    return urlunsplit((parts.scheme, parts.netloc, path, urlencode({"query": query}), ""))


def samples_in(body: bytes, status: int) -> list[Sample]:
    """Read the answer: an instant vector or a scalar.

    Raises Refused when the server does not understand the query or it gives something else, InfrastructureFailed when
    the server cannot answer now, and StepFailed when it is not Prometheus that answers.
    """
    try:
        answer: Any = json.loads(body)
        if answer["status"] == "error":
            raise _refusal(str(answer["errorType"]), str(answer["error"])[:1000])
        kind, result = answer["data"]["resultType"], answer["data"]["result"]
        if kind == "scalar":
            return [Sample({}, number_of(result[1]))]
        if kind == "vector":
            return [Sample(dict(series["metric"]), number_of(series["value"][1])) for series in result]
    except (ValueError, KeyError, TypeError, IndexError, RecursionError):
        beginning = body[:200].decode("utf-8", "replace")
        text = f"the answer (status {status}) is not that of a Prometheus server to a query: {beginning!r}"
        raise (InfrastructureFailed if status >= 500 else StepFailed)(text) from None
    raise Refused(f"the query gives a {str(kind)[:50]}, not a value now: wrap it in an aggregation or a function")


def _refusal(kind: str, words: str) -> Refused | InfrastructureFailed | StepFailed:
    text = f"Prometheus did not answer the query ({kind[:50]}): {words}"
    if kind in _OUR_FAULT:
        return Refused(text)
    return InfrastructureFailed(text) if kind in _ITS_FAULT else StepFailed(text)
