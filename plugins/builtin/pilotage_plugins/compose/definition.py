"""What a project is to be: its file as Compose understands it, with everything filled in but secrets."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from pilotage_plugin_api import Refused, SecretRef, StepFailed

from pilotage_plugins.compose.program import Compose
from pilotage_plugins.compose.project import Value

Json = dict[str, Any]

_COMPLETED: Final = "service_completed_successfully"


@dataclass(frozen=True, slots=True)
class Service:
    """One service. `image` is what its containers are made of; `built` that the file says how to build it.

    `checked`: the file gives it a health check; False: it switches the image's off; None: it says nothing.
    `job`: others wait for its end, so it is to end. `hash` is Compose's own, which its containers carry as a label.
    """

    name: str
    image: str
    built: bool
    replicas: int
    checked: bool | None
    job: bool
    hash: str


@dataclass(frozen=True, slots=True)
class Definition:
    """A whole project. `text` is its resolved file, in which `${VARIABLE}` stands for each secret. `secrets`:
    variables with the references of their values. `networks` and `volumes` are the names of those that are its own."""

    project: str
    directory: str
    text: str
    secrets: Mapping[str, str]
    services: Mapping[str, Service]
    networks: tuple[str, ...]
    volumes: tuple[str, ...]

    @property
    def sha256(self) -> str:
        """The digest of the resolved file; two projects of one digest are the same, secrets aside."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def hashes(self) -> dict[str, str]:
        """The hash of each service."""
        return {name: service.hash for name, service in self.services.items()}


async def resolve(
    compose: Compose, variables: Mapping[str, Value], env: Mapping[str, str], text: str | None
) -> tuple[Definition, Compose]:
    """Let Compose read a project; returns it, and the Compose that knows the project's name.

    `variables` may be references to secrets; `env` has their contents instead. `text` is the file, None for the files
    that Compose knows. Raises Refused for a file that Compose does not accept.
    """
    secrets = {name: str(ref) for name, ref in variables.items() if isinstance(ref, SecretRef)}
    marked = {**env, **{name: _mark(name) for name in secrets}}
    what = f"reading the project in {compose.directory}"
    resolved = await compose.read(what, "config", "--format=json", env=marked, text=text)
    for name in secrets:
        resolved = resolved.replace(_mark(name), f"${{{name}}}")
    model = _parsed(resolved, compose.directory)
    named = replace(compose, project=model["name"])
    hashes = await hashes_of(named, resolved, env)
    return definition(model, compose.directory, resolved, secrets, hashes), named


async def hashes_of(compose: Compose, text: str, env: Mapping[str, str]) -> dict[str, str]:
    """Return Compose's hash of each service of a resolved file."""
    printed = await compose.read("hashing the services", "config", "--hash=*", env=env, text=text)
    pairs = [line.split() for line in printed.splitlines() if line.strip()]
    if wrong := [pair for pair in pairs if len(pair) != 2]:
        raise StepFailed(f"Compose printed something else than the hashes of services: {wrong[0]}")
    return dict(pairs)


def definition(
    model: Json, directory: str, text: str, secrets: Mapping[str, str], hashes: Mapping[str, str]
) -> Definition:
    """Read a resolved file."""
    services: Json = model.get("services") or {}
    if not services:
        raise Refused(f"the project {model['name']} has no services (or its profiles are switched off)")
    jobs = {
        name
        for service in services.values()
        for name, wait in (service.get("depends_on") or {}).items()
        if wait.get("condition") == _COMPLETED
    }
    return Definition(
        project=model["name"],
        directory=directory,
        text=text,
        secrets=secrets,
        services={
            name: Service(
                name=name,
                image=one.get("image") or f"{model['name']}-{name}",
                built="build" in one,
                replicas=_replicas(one),
                checked=_checked(one),
                job=name in jobs,
                hash=hashes.get(name, ""),
            )
            for name, one in sorted(services.items())
        },
        networks=_own(model.get("networks")),
        volumes=_own(model.get("volumes")),
    )


def _parsed(text: str, directory: str) -> Json:
    try:
        model: Json = json.loads(text)
    except ValueError as error:
        raise StepFailed(f"Compose did not print the project in {directory} as JSON: {error}") from error
    return model


def _replicas(service: Json) -> int:
    deploy = service.get("deploy") or {}
    if deploy.get("mode") == "global":
        return 1
    for count in (service.get("scale"), deploy.get("replicas")):
        if count is not None:
            return int(count)
    return 1


def _checked(service: Json) -> bool | None:
    check = service.get("healthcheck")
    if not check:
        return None
    test = check.get("test") or []
    if check.get("disable") or test[:1] == ["NONE"]:
        return False
    return True if test else None


def _own(things: Json | None) -> tuple[str, ...]:
    """Return the names of the networks or volumes that the project makes itself."""
    found = (things or {}).items()
    return tuple(sorted(str((one or {}).get("name") or key) for key, one in found if not (one or {}).get("external")))


def _mark(name: str) -> str:
    """Return what stands for a secret while Compose fills in variables; it goes through unchanged."""
    return f"__pilotage_secret_{name}__"
