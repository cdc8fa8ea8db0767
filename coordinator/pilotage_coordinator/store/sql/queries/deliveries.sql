-- name: delivery_insert
INSERT INTO deliveries (
    notification, execution, path, host, item, channel, message, recorded_at, status, attempts, due_at, ended_at, error
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'waiting', 0, ?, NULL, '');

-- name: delivery_channels
SELECT DISTINCT channel FROM deliveries INDEXED BY deliveries_due WHERE ended_at IS NULL ORDER BY channel;

-- name: delivery_first
-- Of each execution the oldest alone: a message never overtakes another of its execution.
SELECT number, notification, execution, path, host, item, channel, message, recorded_at, status, attempts, due_at, ended_at,
    error
FROM deliveries AS due INDEXED BY deliveries_due
WHERE channel = :channel AND ended_at IS NULL AND NOT EXISTS (
    SELECT 1 FROM deliveries AS before INDEXED BY deliveries_in_order
    WHERE before.execution = due.execution AND before.channel = due.channel AND before.number < due.number
        AND before.ended_at IS NULL
)
ORDER BY due_at, number LIMIT 1;

-- name: delivery_by_id
SELECT number, notification, execution, path, host, item, channel, message, recorded_at, status, attempts, due_at, ended_at,
    error
FROM deliveries WHERE notification = ?;

-- name: deliveries_newest
SELECT number, notification, execution, path, host, item, channel, message, recorded_at, status, attempts, due_at, ended_at,
    error
FROM deliveries WHERE number < :before ORDER BY number DESC LIMIT :limit;

-- name: deliveries_in_status
SELECT number, notification, execution, path, host, item, channel, message, recorded_at, status, attempts, due_at, ended_at,
    error
FROM deliveries INDEXED BY deliveries_by_status
WHERE status = :status AND number < :before ORDER BY number DESC LIMIT :limit;

-- name: deliveries_of_execution
SELECT number, notification, execution, path, host, item, channel, message, recorded_at, status, attempts, due_at, ended_at,
    error
FROM deliveries INDEXED BY deliveries_by_execution
WHERE execution = :execution AND number < :before AND (:status = '' OR status = :status)
ORDER BY number DESC LIMIT :limit;

-- name: delivery_figures
SELECT
    (SELECT count(*) FROM deliveries WHERE status = 'waiting'),
    (SELECT count(*) FROM deliveries WHERE status = 'waiting' AND attempts > 0),
    (SELECT count(*) FROM deliveries WHERE status = 'dead');

-- name: delivery_end
UPDATE deliveries SET status = :status, attempts = :attempts, ended_at = :at, error = :error
WHERE notification = :notification AND ended_at IS NULL;

-- name: delivery_put_off
UPDATE deliveries SET attempts = :attempts, due_at = :due_at, error = :error
WHERE notification = :notification AND ended_at IS NULL;

-- name: delivery_retry
UPDATE deliveries SET status = 'waiting', attempts = 0, due_at = :at, ended_at = NULL
WHERE notification = :notification AND status = 'dead';
