-- Each time that this database was restored from a backup: what the log lost by it. Sent to agents, oldest first.
CREATE TABLE audit_recoveries (
    number INTEGER PRIMARY KEY,
    statement BLOB NOT NULL UNIQUE,
    signature TEXT NOT NULL,
    recorded_at INTEGER NOT NULL
) STRICT;
