"""What the room `security` refuses, and what it cannot do."""


class SecurityError(Exception):
    """Something was refused or failed for a reason of security; the text says what, where, and how to fix it."""


class AuthorityError(SecurityError):
    """The certificate authority's files cannot be used."""


class SigningRequestRefused(SecurityError):
    """A certificate signing request is malformed or asks with a key that is not accepted."""


class TokenRefused(SecurityError):
    """A join token cannot be read."""


class StoreKeyError(SecurityError):
    """The key that encrypts secrets in the store is missing, exposed, or wrong."""


class DecryptionError(SecurityError):
    """A ciphertext was changed, moved to another place, or made with another key."""


class SealingError(SecurityError):
    """A secret cannot be sealed to the given key."""


class AuditKeyError(SecurityError):
    """The key that signs the audit log's end is exposed or damaged."""


class AgeError(SecurityError):
    """A file, recipient or identity of age cannot be used."""
