"""What this room refuses."""


class ApiError(Exception):
    """The root of this room's errors; the text says what, to which thing, and the fix."""


class SocketRefused(ApiError):
    """The socket cannot be served."""


class CertificateRefused(ApiError):
    """The certificate for HTTPS cannot be used."""
