-- name: execution_insert
INSERT INTO workflow_executions (
    id, blueprint_id, blueprint_version, plan_digest, requested_by, created_at, version, sequence,
    status, reason, outcome, started_at, ended_at, counts, warnings, name
) VALUES (?, ?, ?, ?, ?, ?, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: inputs_insert
INSERT INTO execution_inputs (execution, parameters, sealed, answers, request) VALUES (?, ?, ?, ?, ?);

-- name: execution_advance
-- Compare-and-set. `:last` is the sequence of the newest event after the change, `:before` the one it must follow.
UPDATE workflow_executions
SET version = version + 1, sequence = :last, status = :status, reason = :reason, outcome = :outcome,
    started_at = :started_at, ended_at = :ended_at, counts = :counts, warnings = :warnings
WHERE id = :id AND version = :version AND sequence = :before;

-- name: execution_advance_silently
-- As above, for a change without events.
UPDATE workflow_executions
SET version = version + 1, status = :status, reason = :reason, outcome = :outcome,
    started_at = :started_at, ended_at = :ended_at, counts = :counts, warnings = :warnings
WHERE id = :id AND version = :version;

-- name: event_insert
INSERT INTO workflow_events (execution, sequence, at, type, data) VALUES (?, ?, ?, ?, ?);

-- name: step_run_put
INSERT INTO workflow_step_runs (
    execution, path, host, item, status, reason, attempts, started_at, ended_at, outputs, error, failure_kind
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET
    status = excluded.status, reason = excluded.reason, attempts = excluded.attempts,
    started_at = excluded.started_at, ended_at = excluded.ended_at, outputs = excluded.outputs,
    error = excluded.error, failure_kind = excluded.failure_kind;

-- name: attempt_insert
INSERT INTO workflow_attempts (
    execution, path, host, item, kind, attempt, epoch, status, effect, step_type, parameters,
    created_at, started_at, ended_at, outcome, digest, evidence
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: attempt_update
UPDATE workflow_attempts
SET status = :status, epoch = coalesce(:epoch, epoch), started_at = coalesce(:started_at, started_at),
    ended_at = :ended_at, outcome = :outcome, digest = :digest, evidence = :evidence
WHERE execution = :execution AND path = :path AND host = :host AND item = :item AND kind = :kind
    AND attempt = :attempt AND ended_at IS NULL AND (:expected IS NULL OR epoch = :expected);

-- name: execution_by_id
SELECT id, blueprint_id, blueprint_version, plan_digest, requested_by, created_at, version, sequence,
    status, reason, outcome, started_at, ended_at, counts, warnings, name, number
FROM workflow_executions WHERE id = ?;

-- name: inputs_by_execution
SELECT parameters, sealed, answers, request FROM execution_inputs WHERE execution = ?;

-- name: executions_first_since
SELECT min(number) FROM workflow_executions INDEXED BY executions_by_creation WHERE created_at >= ?;

-- name: executions_newest
SELECT id, blueprint_id, blueprint_version, plan_digest, requested_by, created_at, version, sequence,
    status, reason, outcome, started_at, ended_at, counts, warnings, name, number
FROM workflow_executions WHERE number < :before AND number >= :first AND created_at >= :since
ORDER BY number DESC LIMIT :limit;

-- name: executions_of_blueprint
SELECT id, blueprint_id, blueprint_version, plan_digest, requested_by, created_at, version, sequence,
    status, reason, outcome, started_at, ended_at, counts, warnings, name, number
FROM workflow_executions INDEXED BY executions_by_blueprint
WHERE blueprint_id = :blueprint AND number < :before AND number >= :first AND created_at >= :since
ORDER BY number DESC LIMIT :limit;

-- name: executions_in_status
SELECT id, blueprint_id, blueprint_version, plan_digest, requested_by, created_at, version, sequence,
    status, reason, outcome, started_at, ended_at, counts, warnings, name, number
FROM workflow_executions INDEXED BY executions_by_status
WHERE status = :status AND number < :before AND number >= :first AND created_at >= :since
ORDER BY number DESC LIMIT :limit;

-- name: executions_of_blueprint_in_status
SELECT id, blueprint_id, blueprint_version, plan_digest, requested_by, created_at, version, sequence,
    status, reason, outcome, started_at, ended_at, counts, warnings, name, number
FROM workflow_executions INDEXED BY executions_by_blueprint_status
WHERE blueprint_id = :blueprint AND status = :status AND number < :before AND number >= :first AND created_at >= :since
ORDER BY number DESC LIMIT :limit;

-- name: executions_active
SELECT id, blueprint_id, blueprint_version, plan_digest, requested_by, created_at, version, sequence,
    status, reason, outcome, started_at, ended_at, counts, warnings, name, number
FROM workflow_executions INDEXED BY executions_active
WHERE ended_at IS NULL ORDER BY number;

-- name: events_after
SELECT sequence, at, type, data FROM workflow_events
WHERE execution = :execution AND sequence > :after
ORDER BY sequence LIMIT :limit;

-- name: step_run_by_key
SELECT path, host, item, status, reason, attempts, started_at, ended_at, outputs, error, failure_kind
FROM workflow_step_runs WHERE execution = ? AND path = ? AND host = ? AND item = ?;

-- name: step_runs_all
SELECT path, host, item, status, reason, attempts, started_at, ended_at, outputs, error, failure_kind
FROM workflow_step_runs
WHERE execution = :execution AND (path, host, item) > (:after_path, :after_host, :after_item)
ORDER BY path, host, item LIMIT :limit;

-- name: step_runs_of_path
SELECT path, host, item, status, reason, attempts, started_at, ended_at, outputs, error, failure_kind
FROM workflow_step_runs
WHERE execution = :execution AND path = :path
    AND host >= :after_host AND (:fresh OR (host, item) > (:after_host, :after_item))
    AND (:host IS NULL OR host = :host) AND (:status IS NULL OR status = :status)
ORDER BY path, host, item LIMIT :limit;

-- name: step_runs_of_host
SELECT path, host, item, status, reason, attempts, started_at, ended_at, outputs, error, failure_kind
FROM workflow_step_runs INDEXED BY step_runs_by_host
WHERE execution = :execution AND host = :host AND (path, item) > (:after_path, :after_item)
    AND (:status IS NULL OR status = :status)
ORDER BY path, item LIMIT :limit;

-- name: step_runs_in_status
SELECT path, host, item, status, reason, attempts, started_at, ended_at, outputs, error, failure_kind
FROM workflow_step_runs INDEXED BY step_runs_by_status
WHERE execution = :execution AND status = :status
    AND (path, host, item) > (:after_path, :after_host, :after_item)
ORDER BY path, host, item LIMIT :limit;

-- name: attempt_by_key
SELECT epoch, ended_at FROM workflow_attempts
WHERE execution = ? AND path = ? AND host = ? AND item = ? AND kind = ? AND attempt = ?;

-- name: attempt_record_by_key
SELECT execution, path, host, item, kind, attempt, epoch, status, effect, step_type, parameters,
    created_at, started_at, ended_at, outcome, digest, evidence
FROM workflow_attempts
WHERE execution = ? AND path = ? AND host = ? AND item = ? AND kind = ? AND attempt = ?;

-- name: attempt_keys_of_path
SELECT execution, path, host, item, kind, attempt
FROM workflow_attempts
WHERE execution = :execution AND path = :path
    AND (host, item, kind, attempt) > (:after_host, :after_item, :after_kind, :after_attempt)
ORDER BY host, item, kind, attempt LIMIT :limit;

-- name: attempt_keys_on_host
SELECT execution, path, host, item, kind, attempt
FROM workflow_attempts
WHERE execution = :execution AND path = :path AND host = :host
    AND (item, kind, attempt) > (:after_item, :after_kind, :after_attempt)
ORDER BY item, kind, attempt LIMIT :limit;

-- name: attempts_open
-- From the index alone: it holds the primary key too.
SELECT execution, path, host, item, kind, attempt, epoch
FROM workflow_attempts INDEXED BY attempts_open
WHERE execution = ? AND ended_at IS NULL;

-- name: metrics_all
SELECT blueprint_id, status, current, entered, ended, duration FROM workflow_metrics ORDER BY blueprint_id, status;

-- name: metrics_of_blueprint
SELECT blueprint_id, status, current, entered, ended, duration FROM workflow_metrics
WHERE blueprint_id = ? ORDER BY status;
