"""The certificate that the HTTPS port shows: made by the coordinator's own authority, or from files that were given."""

import asyncio
import os
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pilotage_coordinator.api.errors import CertificateRefused
from pilotage_coordinator.security.authority import Authority
from pilotage_coordinator.security.private_file import ExposedFile, read_private
from pilotage_coordinator.structured import structlog

_LOG = structlog.get_logger("pilotage.api")

LOOK_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """A certificate chain and its key, both PEM; the key is readable by nobody else."""

    chain: Path
    key: Path


@dataclass(slots=True)
class ShownCertificate:
    """A TLS context that always holds a certificate which is good now. TLS 1.3 only."""

    authority: Authority
    names: Sequence[str]
    """DNS names and addresses in a certificate of the own authority."""
    wall: Callable[[], int]
    """UTC microseconds, as certificates have them."""
    files: CertificateFiles | None = None
    context: ssl.SSLContext = field(init=False)
    _renew_at: int = 0
    _seen: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Load it; raises CertificateRefused."""
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_3
        self.context.set_alpn_protocols(["http/1.1"])
        self.renew()

    async def run(self) -> None:
        """Keep it good until cancelled: connections that begin later see the new one, none is cut."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await asyncio.to_thread(self.renew)
            except (CertificateRefused, OSError) as error:
                # What was loaded before goes on being shown.
                _LOG.error("certificate.not_renewed", error=str(error))

    def renew(self) -> None:
        """Load a new certificate when it is time, or when the files have changed; raises CertificateRefused."""
        if self.files is not None:
            self._from_files(self.files)
        elif self.wall() >= self._renew_at:
            made = self.authority.issue_server(self.names, self.wall())
            self._load(made.chain, made.key)
            self._renew_at = made.renew_at

    def _from_files(self, files: CertificateFiles) -> None:
        try:
            seen = tuple(file.stat().st_mtime_ns for file in (files.chain, files.key))
            if seen == self._seen:
                return
            chain, key = files.chain.read_bytes(), read_private(files.key)
        except ExposedFile as error:
            raise CertificateRefused(str(error)) from error
        except OSError as error:
            raise CertificateRefused(f"{error.filename}: {error.strerror}") from error
        try:
            self._load(chain, key or b"")
        except ssl.SSLError as error:
            reason = error.reason or "not readable"
            raise CertificateRefused(
                f"{files.chain} and {files.key} are no certificate chain and its key, both in PEM ({reason})"
            ) from error
        self._seen = seen

    def _load(self, chain: bytes, key: bytes) -> None:
        """Hand both to OpenSSL, which takes files only, through memory: a key that was just made is on no disk."""
        descriptor = os.memfd_create("pilotage-certificate", os.MFD_CLOEXEC)
        with os.fdopen(descriptor, "wb") as file:
            file.write(key + b"\n" + chain)
            file.flush()
            self.context.load_cert_chain(f"/proc/self/fd/{descriptor}")
