-- Policies, what executions were asked for with, and how changes were closed.

CREATE TABLE policies (
    version INTEGER PRIMARY KEY,
    source TEXT NOT NULL,
    content TEXT NOT NULL, -- JSON
    set_at INTEGER NOT NULL,
    set_by TEXT NOT NULL,
    comment TEXT NOT NULL,
    restores INTEGER
) STRICT;

CREATE TRIGGER policy_stays BEFORE UPDATE ON policies
BEGIN
    SELECT raise(ABORT, 'a version of the policy never changes');
END;

CREATE TRIGGER policy_kept BEFORE DELETE ON policies
BEGIN
    SELECT raise(ABORT, 'versions of the policy are never deleted');
END;

ALTER TABLE execution_inputs ADD COLUMN request TEXT;

CREATE TABLE change_closings (
    execution TEXT NOT NULL PRIMARY KEY,
    outcome TEXT NOT NULL,
    note TEXT NOT NULL,
    closed_at INTEGER NOT NULL,
    closed_by TEXT NOT NULL
) STRICT;
