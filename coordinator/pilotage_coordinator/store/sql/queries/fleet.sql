-- name: host_insert
INSERT INTO hosts (
    id, name, joined_at, key_digest, sealing_key, labels, variables, agent_version, boot_id, journal_id,
    journal_sequence, session_counter, highest_epoch, certificate_serial, last_seen, revoked_at, quarantine
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: host_by_id
SELECT id, name, joined_at, key_digest, sealing_key, labels, variables, agent_version, boot_id, journal_id,
    journal_sequence, session_counter, highest_epoch, certificate_serial, last_seen, revoked_at, quarantine,
    facts, step_types, quarantined_plugins
FROM hosts LEFT JOIN host_inventories ON host = id WHERE id = ?;

-- name: host_by_name
SELECT id, name, joined_at, key_digest, sealing_key, labels, variables, agent_version, boot_id, journal_id,
    journal_sequence, session_counter, highest_epoch, certificate_serial, last_seen, revoked_at, quarantine,
    facts, step_types, quarantined_plugins
FROM hosts LEFT JOIN host_inventories ON host = id WHERE name = ? AND revoked_at IS NULL;

-- name: hosts_active
SELECT id, name, joined_at, key_digest, sealing_key, labels, variables, agent_version, boot_id, journal_id,
    journal_sequence, session_counter, highest_epoch, certificate_serial, last_seen, revoked_at, quarantine,
    facts, step_types, quarantined_plugins
FROM hosts LEFT JOIN host_inventories ON host = id WHERE revoked_at IS NULL ORDER BY name;

-- name: hosts_page
SELECT id, name, joined_at, key_digest, sealing_key, labels, variables, agent_version, boot_id, journal_id,
    journal_sequence, session_counter, highest_epoch, certificate_serial, last_seen, revoked_at, quarantine,
    facts, step_types, quarantined_plugins
FROM hosts INDEXED BY hosts_in_order LEFT JOIN host_inventories ON host = id
WHERE (name, id) > (:after_name, :after_id) AND (:revoked OR revoked_at IS NULL)
ORDER BY name, id LIMIT :limit;

-- name: host_marks
SELECT name, journal_id, journal_sequence, session_counter, highest_epoch, revoked_at, quarantine
FROM hosts WHERE id = ?;

-- name: host_open_session
UPDATE hosts SET journal_id = :journal_id, journal_sequence = :journal_sequence,
    session_counter = :session_counter, highest_epoch = :highest_epoch,
    agent_version = :agent_version, boot_id = :boot_id, last_seen = max(coalesce(last_seen, 0), :at)
WHERE id = :id;

-- name: step_type_set_put
INSERT INTO step_type_sets (digest, content) VALUES (?, ?) ON CONFLICT DO NOTHING;

-- name: step_type_set_has
SELECT 1 FROM step_type_sets WHERE digest = ?;

-- name: step_type_set
SELECT content FROM step_type_sets WHERE digest = ?;

-- name: inventory_put
INSERT INTO host_inventories (host, facts, step_types, quarantined_plugins, reported_at) VALUES (?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET facts = excluded.facts, step_types = excluded.step_types,
    quarantined_plugins = excluded.quarantined_plugins, reported_at = excluded.reported_at;

-- name: host_sealing_key
UPDATE hosts SET sealing_key = ? WHERE id = ?;

-- name: host_seen
UPDATE hosts SET last_seen = max(coalesce(last_seen, 0), ?) WHERE id = ?;

-- name: host_label
UPDATE hosts SET labels = coalesce(?, labels), variables = coalesce(?, variables) WHERE id = ?;

-- name: host_quarantine
UPDATE hosts SET quarantine = ? WHERE id = ?;

-- name: host_release
UPDATE hosts SET quarantine = '', journal_id = :journal_id, journal_sequence = 0, session_counter = 0, highest_epoch = 0
WHERE id = :id AND quarantine <> '';

-- name: host_revoke
UPDATE hosts SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL;

-- name: host_certificate
UPDATE hosts SET certificate_serial = ? WHERE id = ? AND revoked_at IS NULL;

-- name: enrolment_insert
INSERT INTO enrolments (token_hash, created_at, created_by, expires_at, host_name, labels, used_at, used_by)
VALUES (?, ?, ?, ?, ?, ?, NULL, NULL);

-- name: enrolment_by_hash
SELECT token_hash, created_at, created_by, expires_at, host_name, labels, used_at, used_by
FROM enrolments WHERE token_hash = ?;

-- name: enrolment_use
UPDATE enrolments SET used_at = ?, used_by = ? WHERE token_hash = ? AND used_at IS NULL;

-- name: enrolments_expire
DELETE FROM enrolments WHERE expires_at < ?;

-- name: certificate_insert
INSERT INTO certificates (serial, host, not_before, not_after, revoked_at) VALUES (?, ?, ?, ?, ?);

-- name: certificate_by_serial
SELECT serial, host, not_before, not_after, revoked_at FROM certificates WHERE serial = ?;

-- name: certificates_revoke
UPDATE certificates SET revoked_at = :at WHERE host = :host AND revoked_at IS NULL;

-- name: certificates_of_host
SELECT serial FROM certificates WHERE host = :host AND not_after > :now;

-- name: certificates_denied
SELECT serial FROM certificates INDEXED BY certificates_revoked WHERE revoked_at IS NOT NULL AND not_after > ?;

-- name: certificates_expire
DELETE FROM certificates WHERE not_after < ?
    AND serial NOT IN (SELECT certificate_serial FROM hosts WHERE id = certificates.host);

-- name: proof_put
-- For the host that has this name now; a host that is gone has nothing to show any more.
INSERT INTO host_proofs (host, kind, passed, at, execution, path, item, detail)
SELECT id, :kind, :passed, :at, :execution, :path, :item, :detail FROM hosts WHERE name = :host AND revoked_at IS NULL
ON CONFLICT DO UPDATE SET at = excluded.at, execution = excluded.execution, path = excluded.path,
    item = excluded.item, detail = excluded.detail
WHERE excluded.at >= host_proofs.at;

-- name: proofs_of_host
SELECT kind, passed, at, execution, path, item, detail FROM host_proofs WHERE host = ? ORDER BY kind, passed;

-- name: proofs_passed
SELECT name, at FROM host_proofs JOIN hosts ON id = host WHERE kind = ? AND passed = 1 AND revoked_at IS NULL;
