-- name: blueprint_insert
INSERT INTO workflow_blueprints (
    id, version, major, digest, draft, name, description, source, normalised, added_at, added_by
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: blueprint_draft_remove
DELETE FROM workflow_blueprints WHERE id = ? AND version = ? AND draft = 1;

-- name: blueprint_state
SELECT digest, draft FROM workflow_blueprints WHERE id = ? AND version = ?;

-- name: blueprint_by_version
SELECT id, version, digest, source, normalised, added_at, added_by, draft
FROM workflow_blueprints WHERE id = ? AND version = ?;

-- name: blueprint_versions
SELECT version, draft FROM workflow_blueprints WHERE id = ?;

-- name: blueprint_lines
SELECT id, version, digest, draft, added_at, added_by, name, description FROM workflow_blueprints ORDER BY id;

-- name: plan_put
INSERT INTO plans (digest, content, view, created_at) VALUES (?, ?, ?, ?)
ON CONFLICT DO UPDATE SET view = excluded.view;

-- name: plan_by_digest
SELECT digest, content, view, created_at FROM plans WHERE digest = ?;

-- name: plan_exists
SELECT 1 FROM plans WHERE digest = ?;
