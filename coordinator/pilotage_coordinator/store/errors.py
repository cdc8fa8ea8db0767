"""What the store may answer instead of doing what it was asked."""


class StoreError(Exception):
    """The root of every error of this room; the text says what, to which thing, and the fix."""


class StoreUnavailable(StoreError):
    """The disk refused (full, read-only, input/output error) or the store is closed. Nothing of the call is visible.

    The same call may be made again; where it was an execution's change, read the execution's version first. A write
    whose last fsync failed may still surface after a crash of the machine, so nothing may be told to anyone as undone.
    """


class StoreLocked(StoreError):
    """Another process has the database open; the text names its pid."""


class SchemaRefused(StoreError):
    """The file is no database of this product, or belongs to a newer version of it."""


class AuditBroken(StoreError):
    """The audit log does not end where its signed head says, or the key is not its own."""


class BackupRefused(StoreError):
    """A file is no whole backup of a coordinator, or not one that fits here."""


class Conflict(StoreError):
    """Somebody else changed the row first, or it is not as expected. Nothing of the change was stored.

    Read again, decide again.
    """


class NotFound(StoreError):
    """There is no such row."""


class Refused(StoreError):
    """The store's rules forbid the change (an immutable blueprint, a used token, a taken name)."""


class ReadTooLong(StoreError):
    """A query ran into the bound that readers have; ask for less at once."""


class BadCursor(Refused):
    """The cursor did not come from this listing; begin again without one."""
