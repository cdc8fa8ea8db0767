-- name: store_key_get
SELECT fingerprint, root, since FROM store_key WHERE only_row = 1;

-- name: store_key_begin
INSERT INTO store_key (only_row, fingerprint, root, since) VALUES (1, ?, ?, ?) ON CONFLICT DO NOTHING;

-- name: store_key_change
UPDATE store_key SET fingerprint = ?, root = ?, since = ? WHERE only_row = 1 AND fingerprint = ?;

-- name: secrets_after
SELECT name, ciphertext FROM secrets WHERE name > ? ORDER BY name LIMIT ?;

-- name: secret_reseal
UPDATE secrets SET ciphertext = ? WHERE name = ?;

-- name: secret_versions_after
SELECT number, name, ciphertext FROM secret_versions WHERE number > ? ORDER BY number LIMIT ?;

-- name: secret_version_reseal
UPDATE secret_versions SET ciphertext = ? WHERE number = ?;

-- name: plans_after
SELECT digest, view FROM plans WHERE digest > ? ORDER BY digest LIMIT ?;

-- name: plan_reseal
UPDATE plans SET view = ? WHERE digest = ?;
