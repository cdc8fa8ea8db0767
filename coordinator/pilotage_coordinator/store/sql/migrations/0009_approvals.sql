-- Requests for approval, the decisions on them, and delegations.

-- Requests for approval, written with the change of their execution that asked, answered or ended them. Open: no outcome.
CREATE TABLE workflow_approvals (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    execution TEXT NOT NULL,
    plan_digest TEXT NOT NULL,
    gate TEXT NOT NULL,
    scope TEXT NOT NULL,
    path TEXT NOT NULL,
    host TEXT NOT NULL,
    item TEXT NOT NULL,
    content TEXT NOT NULL, -- JSON
    prompt TEXT NOT NULL,
    requesters TEXT NOT NULL, -- JSON
    asks TEXT NOT NULL, -- JSON
    asked_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    reason TEXT NOT NULL,
    ended_at INTEGER,
    consumed_at INTEGER
) STRICT;
CREATE INDEX approvals_open ON workflow_approvals (number) WHERE ended_at IS NULL;
CREATE INDEX approvals_by_execution ON workflow_approvals (execution, number);

CREATE TRIGGER approval_has_one_outcome BEFORE UPDATE OF outcome, plan_digest, content, execution ON workflow_approvals
WHEN old.outcome <> '' OR new.plan_digest <> old.plan_digest OR new.content <> old.content OR new.execution <> old.execution
BEGIN
    SELECT raise(ABORT, 'a request for approval has one outcome, and is about one plan');
END;

CREATE TABLE workflow_decisions (
    approval TEXT NOT NULL REFERENCES workflow_approvals (id),
    person TEXT NOT NULL,
    at INTEGER NOT NULL,
    answer TEXT NOT NULL,
    stands_on TEXT NOT NULL,
    voice TEXT NOT NULL,
    comment TEXT NOT NULL,
    key TEXT NOT NULL,
    proof TEXT NOT NULL,
    alone INTEGER NOT NULL CHECK (alone IN (0, 1)),
    dropped_at INTEGER,
    PRIMARY KEY (approval, person, at)
) STRICT, WITHOUT ROWID;

-- Who has lent their say to whom, and until when.
CREATE TABLE delegations (
    id TEXT NOT NULL PRIMARY KEY,
    delegator TEXT NOT NULL REFERENCES principals (name),
    delegate TEXT NOT NULL REFERENCES principals (name),
    begins_at INTEGER NOT NULL,
    ends_at INTEGER NOT NULL,
    reason TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    ended_by TEXT NOT NULL
) STRICT;
CREATE INDEX delegations_by_delegate ON delegations (delegate, ends_at, id);
CREATE INDEX delegations_by_end ON delegations (ends_at, id);
