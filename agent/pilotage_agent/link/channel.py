"""gRPC channels as every connection of the agent uses them (SECURITY, Agents; Facts found on these platforms)."""

import os
from collections.abc import MutableMapping
from typing import Final

import grpc
import grpc.aio
from pilotage_proto.limits import LARGEST_MESSAGE

from pilotage_agent.identity import Identity

SERVER_NAME: Final = "pilotage-coordinator"
"""The DNS name in the coordinator's certificate; addresses may change, it does not."""

_OPTIONS: Final = (
    ("grpc.ssl_target_name_override", SERVER_NAME),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.max_receive_message_length", LARGEST_MESSAGE),
    ("grpc.max_send_message_length", LARGEST_MESSAGE),
    ("grpc.enable_retries", 0),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.use_local_subchannel_pool", 1),
)


def prepare_environment(environment: MutableMapping[str, str]) -> None:
    """Set what gRPC reads when it is first used: no fork handlers, and ciphers that leave TLS 1.3 only."""
    environment["GRPC_ENABLE_FORK_SUPPORT"] = "0"
    environment["GRPC_SSL_CIPHER_SUITES"] = "ECDHE-RSA-AES256-GCM-SHA384"
    environment.setdefault("GRPC_VERBOSITY", "ERROR")


def fleet_channel(address: str, identity: Identity) -> grpc.aio.Channel:
    """Return a channel to the fleet port, with this agent's certificate."""
    prepare_environment(os.environ)
    credentials = grpc.ssl_channel_credentials(
        root_certificates=identity.ca_pem(),
        private_key=identity.key_pem,
        certificate_chain=identity.chain_pem(),
    )
    return grpc.aio.secure_channel(address, credentials, options=_OPTIONS)


def enrol_channel(address: str, ca_pem: bytes) -> grpc.aio.Channel:
    """Return a channel to the enrolment port, without a certificate of ours."""
    prepare_environment(os.environ)
    credentials = grpc.ssl_channel_credentials(root_certificates=ca_pem)
    return grpc.aio.secure_channel(address, credentials, options=_OPTIONS)
