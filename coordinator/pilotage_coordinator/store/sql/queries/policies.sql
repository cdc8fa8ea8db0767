-- name: policy_newest
SELECT version, source, content, set_at, set_by, comment, restores FROM policies ORDER BY version DESC LIMIT 1;

-- name: policy_by_version
SELECT version, source, content, set_at, set_by, comment, restores FROM policies WHERE version = ?;

-- name: policy_history
SELECT version, source, content, set_at, set_by, comment, restores FROM policies
WHERE version < :before ORDER BY version DESC LIMIT :limit;

-- name: policy_insert
INSERT INTO policies (version, source, content, set_at, set_by, comment, restores) VALUES (?, ?, ?, ?, ?, ?, ?);

-- name: closing_insert
INSERT INTO change_closings (execution, outcome, note, closed_at, closed_by) VALUES (?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING;

-- name: closing_get
SELECT execution, outcome, note, closed_at, closed_by FROM change_closings WHERE execution = ?;
