-- name: principal_insert
INSERT INTO principals (name, kind, description, local_user, sponsor, keys, created_at, created_by, disabled_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: principal_by_name
SELECT name, kind, description, local_user, sponsor, keys, created_at, created_by, disabled_at
FROM principals WHERE name = ?;

-- name: principal_by_local_user
SELECT name, kind, description, local_user, sponsor, keys, created_at, created_by, disabled_at
FROM principals WHERE local_user = ? AND local_user <> '';

-- name: principals_all
SELECT name, kind, description, local_user, sponsor, keys, created_at, created_by, disabled_at
FROM principals ORDER BY name;

-- name: principal_like
SELECT name FROM principals WHERE lower(name) = lower(?);

-- name: principal_disable
UPDATE principals SET disabled_at = ? WHERE name = ?;

-- name: principal_keys
UPDATE principals SET keys = ? WHERE name = ?;

-- name: grant_put
INSERT INTO grants (principal, role, scope, granted_at, granted_by) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING;

-- name: grant_remove
DELETE FROM grants WHERE principal = ? AND role = ? AND scope = ?;

-- name: grants_of_role_remove
DELETE FROM grants WHERE principal = ? AND role = ?;

-- name: grants_of
SELECT principal, role, scope, granted_at, granted_by FROM grants WHERE principal = ? ORDER BY role, scope;

-- name: grants_all
SELECT principal, role, scope, granted_at, granted_by FROM grants ORDER BY principal, role, scope;

-- name: grants_of_role
SELECT principal, role, scope, granted_at, granted_by FROM grants WHERE role = ? ORDER BY principal, scope;

-- name: role_by_name
SELECT name, description, permissions, updated_at, updated_by FROM roles WHERE name = ?;

-- name: roles_all
SELECT name, description, permissions, updated_at, updated_by FROM roles ORDER BY name;

-- name: role_put
INSERT INTO roles (name, description, permissions, updated_at, updated_by) VALUES (?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET description = excluded.description, permissions = excluded.permissions,
    updated_at = excluded.updated_at, updated_by = excluded.updated_by;

-- name: role_remove
DELETE FROM roles WHERE name = ?;

-- name: token_insert
INSERT INTO tokens (
    id, hash, principal, name, created_at, created_by, expires_at, last_used_at, revoked_at, revoked_by, replaced_by
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: token_by_hash
SELECT id, hash, principal, name, created_at, created_by, expires_at, last_used_at, revoked_at, revoked_by, replaced_by
FROM tokens WHERE hash = ?;

-- name: token_by_id
SELECT id, hash, principal, name, created_at, created_by, expires_at, last_used_at, revoked_at, revoked_by, replaced_by
FROM tokens WHERE id = ?;

-- name: tokens_all
SELECT id, hash, principal, name, created_at, created_by, expires_at, last_used_at, revoked_at, revoked_by, replaced_by
FROM tokens ORDER BY principal, created_at, id;

-- name: tokens_of
SELECT id, hash, principal, name, created_at, created_by, expires_at, last_used_at, revoked_at, revoked_by, replaced_by
FROM tokens WHERE principal = ? ORDER BY created_at, id;

-- name: token_revoke
UPDATE tokens SET revoked_at = ?, revoked_by = ?, replaced_by = ? WHERE id = ? AND revoked_at IS NULL;

-- name: token_used
UPDATE tokens SET last_used_at = ? WHERE id = ? AND coalesce(last_used_at, 0) < ?;

-- name: tokens_expire
DELETE FROM tokens WHERE expires_at <= ?;
