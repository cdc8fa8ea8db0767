"""A registry in memory, with the promises of the port."""

import asyncio
from dataclasses import replace

from pilotage_coordinator.fleet.admission import Marks
from pilotage_coordinator.fleet.registry import Certificate, Host, NameTaken, Token, TokenSpent


class MemoryRegistry:
    def __init__(self) -> None:
        self.tokens: dict[str, Token] = {}
        self.hosts: dict[str, Host] = {}
        self.certificates: dict[str, Certificate] = {}
        self.denied_serials: set[str] = set()
        self.restored = False
        self.remembered = asyncio.Event()

    def add_token(self, token: Token) -> None:
        self.tokens[token.digest] = token

    def revoke(self, host_id: str) -> None:
        self.hosts[host_id] = replace(self.hosts[host_id], revoked=True)
        self.denied_serials |= {each.serial for each in self.certificates.values() if each.host_id == host_id}

    def deny(self, serial: str) -> None:
        self.denied_serials.add(serial)

    async def token(self, digest: str) -> Token | None:
        return self.tokens.get(digest)

    async def enrol(self, token: Token, host: Host, certificate: Certificate, now: int) -> None:
        standing = self.tokens.get(token.digest)
        if standing is None or standing.used_by:
            raise TokenSpent(token.digest)
        if any(other.name == host.name and not other.revoked for other in self.hosts.values()):
            raise NameTaken(host.name)
        self.tokens[token.digest] = replace(standing, used_by=host.id)
        self.hosts[host.id] = host
        self.certificates[certificate.serial] = certificate

    async def host(self, host_id: str) -> Host | None:
        return self.hosts.get(host_id)

    async def denied(self, serial: str) -> bool:
        return serial in self.denied_serials or serial not in self.certificates

    async def adopt(self, certificate: Certificate) -> bool:
        if not self.restored or certificate.serial in self.certificates:
            return False
        self.certificates[certificate.serial] = certificate
        return True

    async def deny_list(self, now: int) -> frozenset[str]:
        return frozenset(self.denied_serials)

    async def add_certificate(self, certificate: Certificate) -> None:
        self.certificates[certificate.serial] = certificate

    async def remember(self, host_id: str, marks: Marks, agent_version: str, boot_id: str, now: int) -> bool:
        host = self.hosts[host_id]
        if host.revoked or host.quarantine:
            return False
        self.hosts[host_id] = replace(host, marks=marks, agent_version=agent_version)
        self.remembered.set()
        return True

    async def quarantine(self, host_id: str, reason: str, now: int) -> None:
        host = self.hosts[host_id]
        self.hosts[host_id] = replace(host, quarantine=host.quarantine or reason)
