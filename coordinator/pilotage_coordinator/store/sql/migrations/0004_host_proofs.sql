-- The last backups and drills of each host, good and bad.

CREATE TABLE host_proofs (
    host TEXT NOT NULL REFERENCES hosts (id),
    kind TEXT NOT NULL,
    passed INTEGER NOT NULL CHECK (passed IN (0, 1)),
    at INTEGER NOT NULL,
    execution TEXT NOT NULL,
    path TEXT NOT NULL,
    item TEXT NOT NULL,
    detail TEXT NOT NULL, -- JSON
    PRIMARY KEY (host, kind, passed)
) STRICT, WITHOUT ROWID;
