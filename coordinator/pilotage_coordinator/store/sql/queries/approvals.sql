-- name: approval_insert
INSERT INTO workflow_approvals (
    id, execution, plan_digest, gate, scope, path, host, item, content, prompt, requesters, asks, asked_at, expires_at,
    outcome, reason
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '', '');

-- name: approval_asks
UPDATE workflow_approvals SET asks = :asks WHERE id = :id AND outcome = '';

-- name: approval_end
-- What stands after a batch, or is a step of its own, is used by the very change that ends the request.
UPDATE workflow_approvals SET outcome = :outcome, reason = :reason, ended_at = :at,
    consumed_at = CASE WHEN :outcome = 'approved' AND scope IN ('batch', 'run') THEN :at END
WHERE id = :id AND outcome = '';

-- name: approval_use
-- The second lock: an attempt starts only with a yes to exactly its execution's plan.
UPDATE workflow_approvals SET consumed_at = coalesce(consumed_at, :at)
WHERE id = :id AND execution = :execution AND outcome = 'approved'
    AND plan_digest = (SELECT plan_digest FROM workflow_executions WHERE id = :execution);

-- name: decision_insert
INSERT INTO workflow_decisions (approval, person, at, answer, stands_on, voice, comment, key, proof, alone)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: decision_drop
UPDATE workflow_decisions SET dropped_at = :at WHERE approval = :id AND person = :person AND dropped_at IS NULL;

-- name: person_signs
-- Whether a principal is an enabled person who still has a key.
SELECT 1 FROM principals, json_each(principals.keys) AS known
WHERE principals.name = :person AND principals.kind = 'person' AND principals.disabled_at IS NULL
    AND (known.value = :key OR substr(known.value, 1, length(:key) + 1) = :key || ' ');

-- name: person_holds
-- Whether an enabled person is in a role, whatever its limits.
SELECT 1 FROM grants JOIN principals ON principals.name = grants.principal
WHERE grants.principal = :person AND grants.role = :role AND principals.kind = 'person'
    AND principals.disabled_at IS NULL
LIMIT 1;

-- name: delegation_holds
SELECT 1 FROM delegations INDEXED BY delegations_by_delegate
WHERE delegate = :delegate AND ends_at > :at AND delegator = :delegator AND begins_at <= :at LIMIT 1;

-- name: other_person
SELECT name FROM principals WHERE kind = 'person' AND disabled_at IS NULL AND name <> :person LIMIT 1;

-- name: approval_by_id
SELECT number, id, execution, plan_digest, gate, scope, path, host, item, content, prompt, requesters, asks, asked_at,
    expires_at, outcome, reason, ended_at, consumed_at
FROM workflow_approvals WHERE id = ?;

-- name: approvals_newest
SELECT number, id, execution, plan_digest, gate, scope, path, host, item, content, prompt, requesters, asks, asked_at,
    expires_at, outcome, reason, ended_at, consumed_at
FROM workflow_approvals WHERE number < :before ORDER BY number DESC LIMIT :limit;

-- name: approvals_open
SELECT number, id, execution, plan_digest, gate, scope, path, host, item, content, prompt, requesters, asks, asked_at,
    expires_at, outcome, reason, ended_at, consumed_at
FROM workflow_approvals INDEXED BY approvals_open
WHERE ended_at IS NULL AND number < :before ORDER BY number DESC LIMIT :limit;

-- name: approvals_of_execution
SELECT number, id, execution, plan_digest, gate, scope, path, host, item, content, prompt, requesters, asks, asked_at,
    expires_at, outcome, reason, ended_at, consumed_at
FROM workflow_approvals INDEXED BY approvals_by_execution
WHERE execution = :execution AND number < :before ORDER BY number DESC LIMIT :limit;

-- name: decisions_of
SELECT person, at, answer, stands_on, voice, comment, key, proof, alone, dropped_at
FROM workflow_decisions WHERE approval = ? ORDER BY person, at;

-- name: delegation_insert
INSERT INTO delegations (id, delegator, delegate, begins_at, ends_at, reason, created_at, created_by, ended_by)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, '');

-- name: delegation_by_id
SELECT id, delegator, delegate, begins_at, ends_at, reason, created_at, created_by, ended_by
FROM delegations WHERE id = ?;

-- name: delegations_to
SELECT id, delegator, delegate, begins_at, ends_at, reason, created_at, created_by, ended_by
FROM delegations INDEXED BY delegations_by_delegate
WHERE delegate = :delegate AND ends_at > :now ORDER BY ends_at, id;

-- name: delegations_open
SELECT id, delegator, delegate, begins_at, ends_at, reason, created_at, created_by, ended_by
FROM delegations INDEXED BY delegations_by_end
WHERE ends_at > :now ORDER BY ends_at, id;

-- name: delegation_end
UPDATE delegations SET ends_at = :at, ended_by = :by WHERE id = :id AND ends_at > :at;
