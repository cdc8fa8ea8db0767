"""Data from one host to another, through a restic repository that both reach: encrypted, checked byte for byte."""

from typing import Final

from pilotage_plugins.transfer.receive import TransferReceive
from pilotage_plugins.transfer.send import TransferSend

TRANSFER_STEP_TYPES: Final = (TransferSend, TransferReceive)
