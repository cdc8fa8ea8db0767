ALTER TABLE secrets ADD COLUMN version INTEGER NOT NULL DEFAULT 1;

-- Earlier values: only to find them in what steps say that were given them. They go by themselves (`secrets_forget`).
CREATE TABLE secret_versions (
    number INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    ciphertext BLOB NOT NULL,
    replaced_at INTEGER NOT NULL,
    UNIQUE (name, version)
) STRICT;
CREATE INDEX secret_versions_by_end ON secret_versions (replaced_at);
