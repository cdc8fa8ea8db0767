"""What goes with a request: headers, a body, and secrets that stay out of plans and logs."""

import json
from datetime import timedelta
from typing import Annotated, Final

from pilotage_plugin_api import Duration, Refused, SecretRef, StepContext, StepParams
from pydantic import AfterValidator, Field, JsonValue, StringConstraints, model_validator

from pilotage_plugins.http.client import check_url

BODY_LIMIT: Final = 1024 * 1024

HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{1,64}$")]
HeaderValue = Annotated[str, StringConstraints(pattern=r"^[\x20-\x7e]{0,1000}$")]
Url = Annotated[str, AfterValidator(check_url)]
Status = Annotated[int, Field(ge=100, le=599)]


class AskParams(StepParams):
    """Where to ask, and over what kind of connection."""

    url: Url = Field(max_length=4096)
    headers: dict[HeaderName, HeaderValue] = Field(default_factory=dict, description="No secrets: these are shown")
    secret_headers: dict[HeaderName, SecretRef] = Field(
        default_factory=dict, description="Headers whose whole value is a secret, such as Authorization"
    )
    timeout: Duration = Field(timedelta(seconds=10), description="For one whole answer")
    verify_tls: bool = True
    ca_file: str | None = Field(None, description="Certificates to trust instead of the host's")


class WithBody(AskParams):
    """A request that may carry something."""

    body: str | None = Field(None, max_length=256 * 1024, description="Text to send")
    json_body: JsonValue = Field(None, description="A value to send as JSON, instead of `body`")

    @model_validator(mode="after")
    def _has_one_body(self) -> "WithBody":
        if self.body is not None and self.json_body is not None:
            raise ValueError("body and json_body are both given: send one")
        return self


async def all_headers(ctx: StepContext, params: AskParams) -> dict[str, str]:
    """Return the headers with the secret ones filled in; raises Refused for a secret that no header can carry."""
    headers = dict(params.headers)
    for name, ref in params.secret_headers.items():
        value = (await ctx.secret(ref)).decode("latin-1").removesuffix("\n")
        if not value.isprintable():
            raise Refused(f"the secret {ref} holds characters that no header can carry")
        headers[name] = value
    return headers


def content_of(params: WithBody) -> tuple[bytes, dict[str, str]]:
    """Return the bytes to send, and the headers that describe them."""
    if params.json_body is not None:
        return json.dumps(params.json_body, ensure_ascii=False).encode(), {"Content-Type": "application/json"}
    if params.body is not None:
        return params.body.encode(), {"Content-Type": "text/plain; charset=utf-8"}
    return b"", {}
