-- The whole schema as of the newest version: what a new database is made from.
-- An old database gets here by migrations/; a test proves that both ways lead to the same schema.
-- Times are UTC microseconds. Columns with JSON say so. Enum columns hold the domain's values; only NULL has a meaning here.

CREATE TABLE schema_version (
    version INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    applied_at INTEGER NOT NULL
) STRICT;

CREATE TABLE meta (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    coordinator_id TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE workflow_blueprints (
    id TEXT NOT NULL,
    version TEXT NOT NULL,
    major INTEGER NOT NULL,
    digest TEXT NOT NULL,
    draft INTEGER NOT NULL CHECK (draft IN (0, 1)),
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    source TEXT NOT NULL,
    normalised TEXT NOT NULL, -- JSON
    added_at INTEGER NOT NULL,
    added_by TEXT NOT NULL,
    PRIMARY KEY (id, version)
) STRICT;

-- Also the proof against a mistake in code: a published version stays as it is.
CREATE TRIGGER blueprint_stays BEFORE UPDATE ON workflow_blueprints WHEN old.draft = 0
BEGIN
    SELECT raise(ABORT, 'a published blueprint version never changes');
END;

CREATE TRIGGER blueprint_kept BEFORE DELETE ON workflow_blueprints WHEN old.draft = 0
BEGIN
    SELECT raise(ABORT, 'a published blueprint version is never removed');
END;

CREATE TABLE plans (
    digest TEXT NOT NULL PRIMARY KEY,
    content TEXT NOT NULL, -- JSON
    view TEXT NOT NULL, -- JSON
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX plans_by_creation ON plans (created_at);

-- `number` is the order of creation, whatever clocks say; every index ends with it, so that pages are ranges.
CREATE TABLE workflow_executions (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    blueprint_id TEXT NOT NULL,
    blueprint_version TEXT NOT NULL,
    plan_digest TEXT NOT NULL REFERENCES plans (digest),
    requested_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    version INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    status TEXT NOT NULL,
    reason TEXT NOT NULL,
    outcome TEXT NOT NULL,
    started_at INTEGER,
    ended_at INTEGER,
    counts TEXT NOT NULL, -- JSON
    warnings TEXT NOT NULL, -- JSON
    name TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX executions_by_blueprint ON workflow_executions (blueprint_id);
CREATE INDEX executions_by_status ON workflow_executions (status);
CREATE INDEX executions_by_blueprint_status ON workflow_executions (blueprint_id, status);
CREATE INDEX executions_by_plan ON workflow_executions (plan_digest);
CREATE INDEX executions_active ON workflow_executions (number) WHERE ended_at IS NULL;
CREATE INDEX executions_by_end ON workflow_executions (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX executions_by_creation ON workflow_executions (created_at);

-- Beside the row that changes with every step, because an update rewrites its whole row.
CREATE TABLE execution_inputs (
    execution TEXT NOT NULL PRIMARY KEY,
    parameters TEXT NOT NULL, -- JSON
    sealed BLOB,
    answers TEXT, -- JSON; NULL = those that its stored plan holds
    request TEXT -- JSON: who asked, what for; NULL = not known
) STRICT;

CREATE TABLE workflow_events (
    execution TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    at INTEGER NOT NULL,
    type TEXT NOT NULL,
    data TEXT NOT NULL, -- JSON
    PRIMARY KEY (execution, sequence)
) STRICT, WITHOUT ROWID;

CREATE TABLE workflow_step_runs (
    execution TEXT NOT NULL,
    path TEXT NOT NULL,
    host TEXT NOT NULL,
    item TEXT NOT NULL,
    status TEXT NOT NULL,
    reason TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    started_at INTEGER,
    ended_at INTEGER,
    outputs TEXT, -- JSON
    error TEXT NOT NULL,
    failure_kind TEXT NOT NULL,
    PRIMARY KEY (execution, path, host, item)
) STRICT, WITHOUT ROWID;
CREATE INDEX step_runs_by_status ON workflow_step_runs (execution, status);
CREATE INDEX step_runs_by_host ON workflow_step_runs (host, execution);

CREATE TABLE workflow_attempts (
    execution TEXT NOT NULL,
    path TEXT NOT NULL,
    host TEXT NOT NULL,
    item TEXT NOT NULL,
    kind TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    status TEXT NOT NULL,
    effect TEXT NOT NULL,
    step_type TEXT NOT NULL,
    parameters TEXT NOT NULL, -- JSON
    created_at INTEGER NOT NULL,
    started_at INTEGER,
    ended_at INTEGER,
    outcome TEXT NOT NULL,
    digest TEXT NOT NULL,
    evidence TEXT NOT NULL, -- JSON
    PRIMARY KEY (execution, path, host, item, kind, attempt)
) STRICT, WITHOUT ROWID;
CREATE INDEX attempts_open ON workflow_attempts (execution, ended_at, epoch) WHERE ended_at IS NULL;

-- Notifications: recorded with the change that ends their step, removed with their execution. Waiting: no `ended_at`.
CREATE TABLE deliveries (
    number INTEGER PRIMARY KEY,
    notification TEXT NOT NULL UNIQUE,
    execution TEXT NOT NULL,
    path TEXT NOT NULL,
    host TEXT NOT NULL,
    item TEXT NOT NULL,
    channel TEXT NOT NULL,
    message TEXT NOT NULL, -- JSON
    recorded_at INTEGER NOT NULL,
    status TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    due_at INTEGER NOT NULL,
    ended_at INTEGER,
    error TEXT NOT NULL
) STRICT;
CREATE INDEX deliveries_due ON deliveries (channel, due_at, number) WHERE ended_at IS NULL;
CREATE INDEX deliveries_in_order ON deliveries (execution, channel, number) WHERE ended_at IS NULL;
CREATE INDEX deliveries_by_status ON deliveries (status);
CREATE INDEX deliveries_by_execution ON deliveries (execution);

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

-- Counters, so that no figure needs a scan. Kept by triggers: no path of code can forget one.
CREATE TABLE workflow_metrics (
    blueprint_id TEXT NOT NULL,
    status TEXT NOT NULL,
    current INTEGER NOT NULL,
    entered INTEGER NOT NULL,
    ended INTEGER NOT NULL,
    duration INTEGER NOT NULL,
    PRIMARY KEY (blueprint_id, status)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER metrics_created AFTER INSERT ON workflow_executions
BEGIN
    INSERT INTO workflow_metrics (blueprint_id, status, current, entered, ended, duration)
    VALUES (new.blueprint_id, new.status, 1, 1, 0, 0)
    ON CONFLICT DO UPDATE SET current = current + 1, entered = entered + 1;
END;

-- One trigger for both columns: SQLite promises no order among several.
CREATE TRIGGER metrics_moved AFTER UPDATE OF status, ended_at ON workflow_executions
WHEN old.status <> new.status OR (old.ended_at IS NULL) <> (new.ended_at IS NULL)
BEGIN
    UPDATE workflow_metrics SET current = current - 1
    WHERE blueprint_id = old.blueprint_id AND status = old.status;
    INSERT INTO workflow_metrics (blueprint_id, status, current, entered, ended, duration)
    VALUES (
        new.blueprint_id,
        new.status,
        1,
        new.status <> old.status,
        old.ended_at IS NULL AND new.ended_at IS NOT NULL,
        CASE WHEN old.ended_at IS NULL THEN max(0, coalesce(new.ended_at, new.created_at) - new.created_at) ELSE 0 END
    )
    ON CONFLICT DO UPDATE SET current = current + 1, entered = entered + excluded.entered,
        ended = ended + excluded.ended, duration = duration + excluded.duration;
END;

CREATE TRIGGER metrics_removed AFTER DELETE ON workflow_executions
BEGIN
    UPDATE workflow_metrics SET current = current - 1
    WHERE blueprint_id = old.blueprint_id AND status = old.status;
END;

-- Never deleted: an id is never given twice.
CREATE TABLE hosts (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    joined_at INTEGER NOT NULL,
    key_digest TEXT NOT NULL,
    sealing_key BLOB NOT NULL,
    labels TEXT NOT NULL, -- JSON
    variables TEXT NOT NULL, -- JSON
    agent_version TEXT NOT NULL,
    boot_id TEXT NOT NULL,
    journal_id TEXT NOT NULL,
    journal_sequence INTEGER NOT NULL,
    session_counter INTEGER NOT NULL,
    highest_epoch INTEGER NOT NULL,
    certificate_serial TEXT NOT NULL,
    last_seen INTEGER,
    revoked_at INTEGER,
    quarantine TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX hosts_by_name ON hosts (name) WHERE revoked_at IS NULL;
CREATE INDEX hosts_in_order ON hosts (name, id);

CREATE TRIGGER host_stays BEFORE DELETE ON hosts
BEGIN
    SELECT raise(ABORT, 'hosts are revoked, never deleted');
END;

-- Beside the row that changes with every session; large.
CREATE TABLE host_inventories (
    host TEXT NOT NULL PRIMARY KEY REFERENCES hosts (id),
    facts TEXT NOT NULL, -- JSON
    step_types TEXT NOT NULL REFERENCES step_type_sets (digest),
    quarantined_plugins TEXT NOT NULL, -- JSON
    reported_at INTEGER NOT NULL
) STRICT;
CREATE INDEX inventories_by_set ON host_inventories (step_types);

-- The newest backup and drill of each host, one row for the good and one for the bad: written with the change that ended
-- the step run, kept when its execution is pruned.
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

-- Hosts with the same plugins share one set.
CREATE TABLE step_type_sets (
    digest TEXT NOT NULL PRIMARY KEY,
    content TEXT NOT NULL -- JSON
) STRICT;

CREATE TABLE enrolments (
    token_hash TEXT NOT NULL PRIMARY KEY,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    host_name TEXT NOT NULL,
    labels TEXT NOT NULL, -- JSON
    used_at INTEGER,
    used_by TEXT REFERENCES hosts (id)
) STRICT;
CREATE INDEX enrolments_by_expiry ON enrolments (expires_at);

CREATE TABLE certificates (
    serial TEXT NOT NULL PRIMARY KEY,
    host TEXT NOT NULL REFERENCES hosts (id),
    not_before INTEGER NOT NULL,
    not_after INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT;
CREATE INDEX certificates_by_host ON certificates (host);
CREATE INDEX certificates_by_expiry ON certificates (not_after);
CREATE INDEX certificates_revoked ON certificates (not_after) WHERE revoked_at IS NOT NULL;

CREATE TABLE secrets (
    name TEXT NOT NULL PRIMARY KEY,
    ciphertext BLOB NOT NULL, -- its nonce included
    updated_at INTEGER NOT NULL,
    updated_by TEXT NOT NULL,
    grants TEXT NOT NULL DEFAULT '[]', -- JSON: who may be given the value
    version INTEGER NOT NULL DEFAULT 1
) STRICT;

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

-- Which key the ciphertexts here are made with, so that another one is refused before anything is read.
CREATE TABLE store_key (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    fingerprint TEXT NOT NULL,
    root BLOB NOT NULL, -- encrypted with that key: what other keys are derived from
    since INTEGER NOT NULL
) STRICT;

-- Every version that ever was: the newest counts. `content` is `source` as it was understood.
CREATE TABLE policies (
    version INTEGER PRIMARY KEY,
    source TEXT NOT NULL,
    content TEXT NOT NULL, -- JSON
    set_at INTEGER NOT NULL,
    set_by TEXT NOT NULL,
    comment TEXT NOT NULL,
    restores INTEGER -- the earlier version that it brought back
) STRICT;

CREATE TRIGGER policy_stays BEFORE UPDATE ON policies
BEGIN
    SELECT raise(ABORT, 'a version of the policy never changes');
END;

CREATE TRIGGER policy_kept BEFORE DELETE ON policies
BEGIN
    SELECT raise(ABORT, 'versions of the policy are never deleted');
END;

CREATE TABLE change_closings (
    execution TEXT NOT NULL PRIMARY KEY,
    outcome TEXT NOT NULL,
    note TEXT NOT NULL,
    closed_at INTEGER NOT NULL,
    closed_by TEXT NOT NULL
) STRICT;

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

-- Never deleted: a name is never given to somebody else. Who may do what: domain/access.
CREATE TABLE principals (
    name TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    description TEXT NOT NULL,
    local_user TEXT NOT NULL, -- empty for all but who runs the coordinator
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

-- Those that are made by command; the built-in ones are the product's.
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

-- Hashes only: a token is shown once, when it is made.
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

CREATE TABLE workflow_schedules (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    owner TEXT NOT NULL,
    blueprint TEXT NOT NULL,
    parameters TEXT NOT NULL, -- JSON
    limit_to TEXT NOT NULL,
    hosts TEXT NOT NULL, -- JSON: names of the hosts in its plan when it was set
    reason TEXT NOT NULL,
    reference TEXT NOT NULL,
    change_class TEXT NOT NULL,
    timetable TEXT NOT NULL, -- JSON
    overlap TEXT NOT NULL,
    catchup INTEGER NOT NULL,
    jitter INTEGER NOT NULL,
    most_runs INTEGER NOT NULL, -- 0: no limit
    pause_on_failure INTEGER NOT NULL,
    state TEXT NOT NULL,
    note TEXT NOT NULL, -- why it is in this state
    runs INTEGER NOT NULL,
    last_nominal INTEGER, -- the newest that has a row below
    next_nominal INTEGER,
    due_at INTEGER, -- next_nominal, later by the jitter
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    updated_at INTEGER NOT NULL,
    updated_by TEXT NOT NULL,
    seen TEXT NOT NULL DEFAULT '{}' -- JSON: each blueprint that it runs, `id@version`, to the digest that its owner saw
) STRICT;
CREATE INDEX schedules_due ON workflow_schedules (due_at) WHERE due_at IS NOT NULL;
CREATE UNIQUE INDEX schedules_by_name ON workflow_schedules (name) WHERE state <> 'cancelled';

CREATE TABLE workflow_firings (
    schedule TEXT NOT NULL,
    nominal INTEGER NOT NULL,
    cause TEXT NOT NULL, -- time, or a person
    outcome TEXT NOT NULL,
    reason TEXT NOT NULL,
    execution TEXT NOT NULL,
    recorded_at INTEGER NOT NULL,
    open INTEGER NOT NULL, -- 1: it waits, or the end of its execution is not taken into account yet
    PRIMARY KEY (schedule, nominal)
) STRICT, WITHOUT ROWID;
CREATE INDEX firings_open ON workflow_firings (outcome, schedule, nominal) WHERE open = 1;
CREATE INDEX firings_ran ON workflow_firings (schedule, nominal) WHERE execution <> '';
CREATE INDEX firings_by_record ON workflow_firings (recorded_at);

CREATE TABLE idempotency (
    principal TEXT NOT NULL,
    key TEXT NOT NULL,
    operation TEXT NOT NULL,
    request_digest TEXT NOT NULL,
    answer TEXT NOT NULL, -- JSON
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (principal, key)
) STRICT;
CREATE INDEX idempotency_by_expiry ON idempotency (expires_at);

CREATE TABLE audit_log (
    sequence INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    principal TEXT NOT NULL,
    operation TEXT NOT NULL,
    subject TEXT NOT NULL,
    outcome TEXT NOT NULL,
    detail TEXT NOT NULL, -- JSON
    previous TEXT NOT NULL,
    hash TEXT NOT NULL
) STRICT;

-- The signed end of the log, and only the newest: an older one would vouch for a log that was cut.
CREATE TABLE audit_signed_head (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    log TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    hash TEXT NOT NULL,
    key BLOB NOT NULL,
    signature BLOB NOT NULL
) STRICT;

-- Each time that this database was restored from a backup: what the log lost by it. Sent to agents, oldest first.
CREATE TABLE audit_recoveries (
    number INTEGER PRIMARY KEY,
    statement BLOB NOT NULL UNIQUE,
    signature TEXT NOT NULL,
    recorded_at INTEGER NOT NULL
) STRICT;

CREATE TRIGGER audit_kept BEFORE DELETE ON audit_log
BEGIN
    SELECT raise(ABORT, 'the audit log is append-only');
END;

CREATE TRIGGER audit_unchanged BEFORE UPDATE ON audit_log
BEGIN
    SELECT raise(ABORT, 'the audit log is append-only');
END;

CREATE TRIGGER audit_linked BEFORE INSERT ON audit_log
WHEN new.sequence <> (SELECT coalesce(max(sequence), 0) + 1 FROM audit_log)
BEGIN
    SELECT raise(ABORT, 'the audit log is append-only');
END;
