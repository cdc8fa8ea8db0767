-- name: executions_prunable
SELECT id, plan_digest FROM workflow_executions INDEXED BY executions_by_end
WHERE ended_at IS NOT NULL AND ended_at < :before ORDER BY ended_at, number LIMIT :limit;

-- name: events_prune
DELETE FROM workflow_events WHERE execution = :execution AND sequence IN (
    SELECT sequence FROM workflow_events WHERE execution = :execution ORDER BY sequence LIMIT :limit
);

-- name: attempts_prune
DELETE FROM workflow_attempts WHERE (execution, path, host, item, kind, attempt) IN (
    SELECT execution, path, host, item, kind, attempt FROM workflow_attempts WHERE execution = :execution LIMIT :limit
);

-- name: step_runs_prune
DELETE FROM workflow_step_runs WHERE (execution, path, host, item) IN (
    SELECT execution, path, host, item FROM workflow_step_runs WHERE execution = :execution LIMIT :limit
);

-- name: deliveries_prune
DELETE FROM deliveries WHERE number IN (
    SELECT number FROM deliveries INDEXED BY deliveries_by_execution WHERE execution = :execution LIMIT :limit
);

-- name: decisions_prune
DELETE FROM workflow_decisions WHERE approval IN (
    SELECT id FROM workflow_approvals INDEXED BY approvals_by_execution WHERE execution = :execution
);

-- name: approvals_prune
DELETE FROM workflow_approvals WHERE execution = :execution;

-- name: inputs_remove
DELETE FROM execution_inputs WHERE execution = ?;

-- name: closing_remove
DELETE FROM change_closings WHERE execution = ?;

-- name: execution_secrets_remove
-- Its sensitive parameters: names from `execution/ID/` to the next character after the slash.
DELETE FROM secrets WHERE name > 'execution/' || :execution || '/' AND name < 'execution/' || :execution || '0';

-- name: execution_remove
DELETE FROM workflow_executions WHERE id = ?;

-- name: plan_remove_unused
DELETE FROM plans WHERE digest = :digest
    AND NOT EXISTS (SELECT 1 FROM workflow_executions WHERE plan_digest = :digest);

-- name: plans_never_run
SELECT digest FROM plans INDEXED BY plans_by_creation
WHERE created_at < :before
    AND NOT EXISTS (SELECT 1 FROM workflow_executions WHERE plan_digest = plans.digest)
ORDER BY created_at LIMIT :limit;

-- name: step_type_sets_remove_unused
DELETE FROM step_type_sets WHERE NOT EXISTS (
    SELECT 1 FROM host_inventories WHERE host_inventories.step_types = step_type_sets.digest
);
