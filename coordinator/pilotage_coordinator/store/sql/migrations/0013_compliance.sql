-- What the rules of compliance found: before an execution began, and where they kept one from being planned or started.

CREATE TABLE compliance_checks (
    number INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    stage TEXT NOT NULL,
    execution TEXT NOT NULL, -- empty where nothing was started
    blueprint TEXT NOT NULL,
    version TEXT NOT NULL,
    digest TEXT NOT NULL,
    plan_digest TEXT NOT NULL,
    principal TEXT NOT NULL,
    principal_kind TEXT NOT NULL,
    policy INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    content TEXT NOT NULL -- JSON
) STRICT;
CREATE UNIQUE INDEX compliance_checks_by_execution ON compliance_checks (execution) WHERE execution <> '';
CREATE INDEX compliance_checks_by_time ON compliance_checks (at);
CREATE INDEX compliance_checks_by_blueprint ON compliance_checks (blueprint, at);

CREATE TRIGGER compliance_check_stays BEFORE UPDATE ON compliance_checks
BEGIN
    SELECT raise(ABORT, 'a check of compliance never changes');
END;
