-- name: compliance_insert
INSERT INTO compliance_checks (at, stage, execution, blueprint, version, digest, plan_digest, principal,
    principal_kind, policy, outcome, content)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: compliance_in_period
SELECT number, at, stage, execution, blueprint, version, digest, plan_digest, principal, principal_kind, policy,
    outcome, content
FROM compliance_checks
WHERE (at, number) > (:since, :after) AND at < :until
ORDER BY at, number LIMIT :limit;

-- name: compliance_of_blueprint
SELECT number, at, stage, execution, blueprint, version, digest, plan_digest, principal, principal_kind, policy,
    outcome, content
FROM compliance_checks
WHERE blueprint = :blueprint AND (at, number) > (:since, :after) AND at < :until
ORDER BY at, number LIMIT :limit;

-- name: compliance_unchecked
SELECT created_at, number, blueprint_id FROM workflow_executions
WHERE (created_at, number) > (:since, :after) AND created_at < :until
    AND (:blueprint = '' OR blueprint_id = :blueprint)
    AND NOT EXISTS (SELECT 1 FROM compliance_checks WHERE execution = workflow_executions.id AND execution <> '')
ORDER BY created_at, number LIMIT :limit;
