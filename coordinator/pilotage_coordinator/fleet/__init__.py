"""The fleet: enrolment and sessions over gRPC; implements the runtime's FleetPort.

The two settings below must stand in the environment before grpc is first imported, which is why this package alone
sets something while it is imported: every module here that imports grpc comes after these lines.
`GRPC_SSL_CIPHER_SUITES` names one TLS 1.2 suite that ECDSA certificates cannot use, which leaves TLS 1.3 alone (grpcio
has no setting for a minimum version). `GRPC_ENABLE_FORK_SUPPORT=0` keeps children of this process from crashing.
"""

import os
import sys
from typing import Final

CIPHER_SUITES: Final = "ECDHE-RSA-AES256-GCM-SHA384"

GRPC_CAME_FIRST: Final = "grpc" in sys.modules and os.environ.get("GRPC_SSL_CIPHER_SUITES") != CIPHER_SUITES
"""True if grpc may have read its environment too early; the server then refuses to start."""

os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
os.environ["GRPC_SSL_CIPHER_SUITES"] = CIPHER_SUITES
