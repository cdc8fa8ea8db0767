"""The wire protocol. Importing anything from here imports protobuf first, without its implementation in Python.

protobuf imports that one (a twentieth of a second and three mebibytes) even where messages are made by its C library
upb, which never calls it. Where protobuf has no C library the import is left as it is.
"""

from types import ModuleType

from google.protobuf.internal import api_implementation

from pilotage_proto.lean import standing_for

_IN_PYTHON = "google.protobuf.internal.python_message"

if api_implementation.Type() == "upb":
    with standing_for(_IN_PYTHON, ModuleType(_IN_PYTHON)):
        from google.protobuf import descriptor_pool as _descriptor_pool  # noqa: F401
        from google.protobuf.internal import builder as _builder  # noqa: F401
