"""From configured channels to their senders."""

from collections.abc import Mapping

from pilotage_coordinator.domain.channel import Channel, MailChannel
from pilotage_coordinator.runtime.channels.mail import Mail
from pilotage_coordinator.runtime.channels.values import Values
from pilotage_coordinator.runtime.channels.webhook import Webhook
from pilotage_coordinator.runtime.deliveries import Sender
from pilotage_coordinator.runtime.secrets import SecretVault


def open_channels(channels: Mapping[str, Channel], vault: SecretVault) -> Mapping[str, Sender]:
    """Return a sender for each channel, by name."""
    values = Values(vault.value)
    return {
        name: Mail(channel, values) if isinstance(channel, MailChannel) else Webhook(channel, values)
        for name, channel in channels.items()
    }
