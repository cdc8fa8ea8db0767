"""Settings of channels whose values are in the store of secrets: read at each try, so that a new one counts at once."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from pilotage_coordinator.domain.channel import SCHEME, wrong_url
from pilotage_coordinator.domain.errors import DomainError
from pilotage_coordinator.runtime.deliveries import NotDelivered
from pilotage_coordinator.security.errors import SecurityError


@dataclass(frozen=True, slots=True)
class Values:
    """Reads them."""

    reveal: Callable[[str], Awaitable[bytes]]
    """Gives the value of a secret by name; raises DomainError where there is none."""

    async def text(self, setting: str) -> str:
        """Return a setting's value as one line; raises NotDelivered."""
        if not setting.startswith(SCHEME):
            return setting
        name = setting.removeprefix(SCHEME)
        try:
            value = (await self.reveal(name)).decode().strip()
        except (DomainError, SecurityError) as error:
            raise NotDelivered(str(error)) from error
        except UnicodeDecodeError:
            raise NotDelivered(f"secret {name} is no text") from None
        if not value or not value.isascii() or not value.isprintable():
            raise NotDelivered(f"secret {name} is not one line of printable ASCII")
        return value

    async def url(self, setting: str) -> str:
        """Return a webhook's URL; raises NotDelivered where it may not go there."""
        url = await self.text(setting)
        if wrong := wrong_url(url):
            raise NotDelivered(f"the URL in {setting if setting.startswith(SCHEME) else 'the settings'}: {wrong}")
        return url
