-- name: audit_head
SELECT sequence, hash FROM audit_log ORDER BY sequence DESC LIMIT 1;

-- name: audit_insert
INSERT INTO audit_log (sequence, at, principal, operation, subject, outcome, detail, previous, hash)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: audit_after
SELECT sequence, at, principal, operation, subject, outcome, detail, previous, hash
FROM audit_log WHERE sequence > ? ORDER BY sequence LIMIT ?;

-- name: audit_newest
SELECT sequence, at, principal, operation, subject, outcome, detail, previous, hash
FROM audit_log WHERE sequence < ? ORDER BY sequence DESC LIMIT ?;

-- name: audit_at
SELECT sequence, hash FROM audit_log WHERE sequence = ?;

-- name: audit_raw_after
-- Texts as bytes: in a log that was edited by hand they may be anything.
SELECT sequence, at, CAST(principal AS BLOB), CAST(operation AS BLOB), CAST(subject AS BLOB), CAST(outcome AS BLOB),
    CAST(detail AS BLOB), CAST(previous AS BLOB), CAST(hash AS BLOB)
FROM audit_log WHERE sequence > ? ORDER BY sequence LIMIT ?;

-- name: audit_search
SELECT sequence, at, principal, operation, subject, outcome, detail, previous, hash
FROM audit_log
WHERE sequence < :before AND sequence >= :lowest
    AND (:principal = '' OR principal = :principal)
    AND (:operation = '' OR operation = :operation OR operation LIKE :operation || '.%')
    AND (:subject = '' OR subject = :subject)
    AND (:outcome = '' OR outcome = :outcome)
    AND at >= :since AND at < :until
ORDER BY sequence DESC LIMIT :limit;

-- name: audit_signed
SELECT CAST(log AS BLOB), sequence, CAST(hash AS BLOB), key, signature FROM audit_signed_head WHERE only_row = 1;

-- name: audit_sign
INSERT INTO audit_signed_head (only_row, log, sequence, hash, key, signature) VALUES (1, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET log = excluded.log, sequence = excluded.sequence, hash = excluded.hash, key = excluded.key,
    signature = excluded.signature;

-- name: recoveries_newest
SELECT statement, signature FROM audit_recoveries ORDER BY number DESC LIMIT ?;

-- name: recovery_put
INSERT INTO audit_recoveries (statement, signature, recorded_at) VALUES (?, ?, ?)
ON CONFLICT DO UPDATE SET signature = excluded.signature;

-- name: answer_get
SELECT key, principal, operation, request_digest, answer, expires_at FROM idempotency
WHERE principal = ? AND key = ? AND expires_at > ?;

-- name: answer_put
-- Replaces an expired answer only.
INSERT INTO idempotency (principal, key, operation, request_digest, answer, expires_at)
VALUES (:principal, :key, :operation, :request_digest, :answer, :expires_at)
ON CONFLICT DO UPDATE SET operation = excluded.operation, request_digest = excluded.request_digest,
    answer = excluded.answer, expires_at = excluded.expires_at
WHERE idempotency.expires_at <= :now;

-- name: answers_expire
DELETE FROM idempotency WHERE expires_at <= ?;

-- name: secret_exists
SELECT 1 FROM secrets WHERE name = ?;

-- name: secret_put
-- Numbers go on where a secret of this name was removed: no version is ever two values.
INSERT INTO secrets (name, ciphertext, updated_at, updated_by, grants, version)
VALUES (:name, :ciphertext, :at, :by, :grants,
    1 + coalesce((SELECT max(version) FROM secret_versions WHERE name = :name), 0))
ON CONFLICT DO UPDATE SET ciphertext = excluded.ciphertext, updated_at = excluded.updated_at,
    updated_by = excluded.updated_by, version = secrets.version + 1,
    grants = CASE excluded.grants WHEN '[]' THEN grants ELSE excluded.grants END;

-- name: secret_grants
SELECT grants FROM secrets WHERE name = ?;

-- name: secret_grant
UPDATE secrets SET grants = :grants WHERE name = :name;

-- name: secret_get
SELECT name, ciphertext, updated_at, updated_by, grants, version FROM secrets WHERE name = ?;

-- name: secrets_all
SELECT name, ciphertext, updated_at, updated_by, grants, version FROM secrets ORDER BY name;

-- name: secret_set_aside
INSERT INTO secret_versions (name, version, ciphertext, replaced_at)
SELECT name, version, ciphertext, :at FROM secrets WHERE name = :name;

-- name: secret_versions_keep
DELETE FROM secret_versions WHERE name = :name
    AND version <= (SELECT max(version) FROM secret_versions WHERE name = :name) - :kept;

-- name: secret_versions_of
SELECT ciphertext FROM secret_versions WHERE name = ? ORDER BY version DESC;

-- name: secrets_forget
DELETE FROM secret_versions WHERE replaced_at < ?;

-- name: secret_remove
DELETE FROM secrets WHERE name = ?;

-- name: epoch_get
SELECT epoch FROM meta;

-- name: epoch_next
UPDATE meta SET epoch = max(epoch + 1, ?) RETURNING epoch;

-- name: coordinator_id
SELECT coordinator_id FROM meta;

-- name: meta_insert
INSERT INTO meta (only_row, coordinator_id, epoch, created_at) VALUES (1, ?, 0, ?);

-- name: schema_versions
SELECT version, name FROM schema_version ORDER BY version;

-- name: schema_version_insert
INSERT INTO schema_version (version, name, applied_at) VALUES (?, ?, ?);
