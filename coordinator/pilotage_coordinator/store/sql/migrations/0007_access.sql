-- Principals, their roles and tokens.

CREATE TABLE principals (
    name TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    description TEXT NOT NULL,
    local_user TEXT NOT NULL,
    sponsor TEXT NOT NULL,
    keys TEXT NOT NULL, -- JSON
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    disabled_at INTEGER
) STRICT;
CREATE UNIQUE INDEX principals_by_local_user ON principals (local_user) WHERE local_user <> '';
CREATE UNIQUE INDEX principals_by_folded_name ON principals (lower(name));

CREATE TRIGGER principal_stays BEFORE DELETE ON principals
BEGIN
    SELECT raise(ABORT, 'principals are disabled, never deleted');
END;

CREATE TRIGGER principal_kind_stays BEFORE UPDATE ON principals
WHEN new.kind <> old.kind OR new.name <> old.name
BEGIN
    SELECT raise(ABORT, 'a principal keeps its name and kind');
END;

CREATE TABLE roles (
    name TEXT NOT NULL PRIMARY KEY,
    description TEXT NOT NULL,
    permissions TEXT NOT NULL, -- JSON
    updated_at INTEGER NOT NULL,
    updated_by TEXT NOT NULL
) STRICT;

CREATE TABLE grants (
    principal TEXT NOT NULL REFERENCES principals (name),
    role TEXT NOT NULL,
    scope TEXT NOT NULL, -- JSON
    granted_at INTEGER NOT NULL,
    granted_by TEXT NOT NULL,
    PRIMARY KEY (principal, role, scope)
) STRICT, WITHOUT ROWID;
CREATE INDEX grants_by_role ON grants (role);

CREATE TABLE tokens (
    id TEXT NOT NULL PRIMARY KEY,
    hash TEXT NOT NULL UNIQUE,
    principal TEXT NOT NULL REFERENCES principals (name),
    name TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    last_used_at INTEGER,
    revoked_at INTEGER,
    revoked_by TEXT NOT NULL,
    replaced_by TEXT NOT NULL
) STRICT;
CREATE INDEX tokens_by_principal ON tokens (principal, created_at, id);
CREATE INDEX tokens_by_expiry ON tokens (expires_at);
