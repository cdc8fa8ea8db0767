-- The signed end of the log, and only the newest: an older one would vouch for a log that was cut.
CREATE TABLE audit_signed_head (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    log TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    hash TEXT NOT NULL,
    key BLOB NOT NULL,
    signature BLOB NOT NULL
) STRICT;
