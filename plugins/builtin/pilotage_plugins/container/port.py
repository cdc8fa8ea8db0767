"""Published ports, as `docker run -p` writes them: [ADDRESS:]HOST_PORT:PORT[/udp]."""

import ipaddress
import re
from collections.abc import Iterable
from typing import Any, Final

PORT_PATTERN: Final = r"^(?:(\d+\.\d+\.\d+\.\d+|\[[0-9a-fA-F:]+\]):)?(\d{1,5}):(\d{1,5})(?:/(tcp|udp|sctp))?$"
_PORT: Final = re.compile(PORT_PATTERN[:-1] + r"\Z")
_HIGHEST: Final = 65535


def check_port(text: str) -> str:
    """Return the text if its address is one and its ports are between 1 and 65535; raises ValueError otherwise."""
    address, host_port, port, _ = _parts(text)
    if address:
        ipaddress.ip_address(address)
    for number in (host_port, port):
        if not 1 <= int(number) <= _HIGHEST:
            raise ValueError(f"{number} in {text!r} is no port")
    return text


def bindings(ports: Iterable[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return `ExposedPorts` and `PortBindings`, as a creation takes them."""
    exposed: dict[str, Any] = {}
    published: dict[str, Any] = {}
    for text in ports:
        address, host_port, port, protocol = _parts(text)
        name = f"{int(port)}/{protocol or 'tcp'}"
        exposed[name] = {}
        published.setdefault(name, []).append({"HostIp": address, "HostPort": str(int(host_port))})
    return exposed, published


def _parts(text: str) -> tuple[str, str, str, str]:
    found = _PORT.match(text)
    if not found:
        raise ValueError(f"{text!r} is no published port: write HOST_PORT:PORT, such as 8080:80")
    address, host_port, port, protocol = (part or "" for part in found.groups())
    return address.strip("[]"), host_port, port, protocol
