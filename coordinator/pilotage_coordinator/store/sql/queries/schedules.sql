-- name: schedule_insert
INSERT INTO workflow_schedules (
    id, name, version, owner, blueprint, parameters, limit_to, reason, reference, change_class, timetable, overlap,
    catchup, jitter, most_runs, pause_on_failure, state, note, runs, last_nominal, next_nominal, due_at, created_at,
    created_by, updated_at, updated_by, hosts, seen
) VALUES (
    :id, :name, 0, :owner, :blueprint, :parameters, :limit_to, :reason, :reference, :change_class, :timetable, :overlap,
    :catchup, :jitter, :most_runs, :pause_on_failure, :state, :note, :runs, :last_nominal, :next_nominal, :due_at,
    :created_at, :created_by, :updated_at, :updated_by, :hosts, :seen
);

-- name: schedule_replace
UPDATE workflow_schedules SET
    name = :name, version = version + 1, owner = :owner, blueprint = :blueprint, parameters = :parameters,
    limit_to = :limit_to, reason = :reason, reference = :reference, change_class = :change_class,
    timetable = :timetable, overlap = :overlap, catchup = :catchup, jitter = :jitter, most_runs = :most_runs,
    pause_on_failure = :pause_on_failure, state = :state, note = :note, runs = :runs, last_nominal = :last_nominal,
    next_nominal = :next_nominal, due_at = :due_at, updated_at = :updated_at, updated_by = :updated_by,
    hosts = :hosts, seen = :seen
WHERE id = :id AND version = :version;

-- name: schedule_by_id
SELECT id, name, version, owner, blueprint, parameters, limit_to, reason, reference, change_class, timetable, overlap,
    catchup, jitter, most_runs, pause_on_failure, state, note, runs, last_nominal, next_nominal, due_at, created_at,
    created_by, updated_at, updated_by, number, hosts, seen
FROM workflow_schedules WHERE id = ?;

-- name: schedule_by_name
SELECT id, name, version, owner, blueprint, parameters, limit_to, reason, reference, change_class, timetable, overlap,
    catchup, jitter, most_runs, pause_on_failure, state, note, runs, last_nominal, next_nominal, due_at, created_at,
    created_by, updated_at, updated_by, number, hosts, seen
FROM workflow_schedules INDEXED BY schedules_by_name WHERE name = ? AND state <> 'cancelled';

-- name: schedules_newest
SELECT id, name, version, owner, blueprint, parameters, limit_to, reason, reference, change_class, timetable, overlap,
    catchup, jitter, most_runs, pause_on_failure, state, note, runs, last_nominal, next_nominal, due_at, created_at,
    created_by, updated_at, updated_by, number, hosts, seen
FROM workflow_schedules WHERE number < :before AND (:every OR state <> 'cancelled') ORDER BY number DESC LIMIT :limit;

-- name: schedules_soonest
SELECT id, name, version, owner, blueprint, parameters, limit_to, reason, reference, change_class, timetable, overlap,
    catchup, jitter, most_runs, pause_on_failure, state, note, runs, last_nominal, next_nominal, due_at, created_at,
    created_by, updated_at, updated_by, number, hosts, seen
FROM workflow_schedules INDEXED BY schedules_due
WHERE due_at IS NOT NULL ORDER BY due_at LIMIT :limit;

-- name: schedules_standing
SELECT id, name, version, owner, blueprint, parameters, limit_to, reason, reference, change_class, timetable, overlap,
    catchup, jitter, most_runs, pause_on_failure, state, note, runs, last_nominal, next_nominal, due_at, created_at,
    created_by, updated_at, updated_by, number, hosts, seen
FROM workflow_schedules WHERE state IN ('stopped', 'paused');

-- name: schedules_ahead
-- Once at each start and each time that the clock goes back.
SELECT id, name, version, owner, blueprint, parameters, limit_to, reason, reference, change_class, timetable, overlap,
    catchup, jitter, most_runs, pause_on_failure, state, note, runs, last_nominal, next_nominal, due_at, created_at,
    created_by, updated_at, updated_by, number, hosts, seen
FROM workflow_schedules
WHERE number > :number AND (last_nominal > :now OR updated_at > :now) AND state IN ('active', 'paused', 'finished') ORDER BY number LIMIT :limit;

-- name: firing_insert
INSERT INTO workflow_firings (schedule, nominal, cause, outcome, reason, execution, recorded_at, open)
VALUES (?, ?, ?, ?, ?, ?, ?, ?);

-- name: firing_take
UPDATE workflow_firings SET outcome = :outcome, reason = :reason, execution = :execution, open = :open
WHERE schedule = :schedule AND nominal = :nominal AND outcome = 'waiting' AND open = 1;

-- name: firing_close
UPDATE workflow_firings SET open = 0
WHERE schedule = :schedule AND nominal = :nominal AND outcome = 'ran' AND open = 1;

-- name: firings_take_back
DELETE FROM workflow_firings WHERE schedule = :schedule AND nominal > :after AND outcome = 'missed';

-- name: firing_newest
SELECT nominal FROM workflow_firings
WHERE schedule = :schedule AND cause = 'time' AND NOT (outcome = 'missed' AND nominal > :after)
ORDER BY nominal DESC LIMIT 1;

-- name: firings_newest
SELECT firing.schedule, firing.nominal, firing.cause, firing.outcome, firing.reason, firing.execution,
    firing.recorded_at, firing.open, coalesce(execution.status, '')
FROM workflow_firings AS firing LEFT JOIN workflow_executions AS execution ON execution.id = firing.execution
WHERE firing.schedule = :schedule AND firing.nominal < :before ORDER BY firing.nominal DESC LIMIT :limit;

-- name: firings_running
SELECT id FROM workflow_executions WHERE ended_at IS NULL AND id IN (
    SELECT execution FROM workflow_firings INDEXED BY firings_ran
    WHERE schedule = :schedule AND execution <> '' ORDER BY nominal DESC LIMIT :limit
);

-- name: firings_over
-- Those of executions that have ended, or that retention has removed.
SELECT firing.schedule, firing.nominal, firing.cause, firing.outcome, firing.reason, firing.execution,
    firing.recorded_at, firing.open, coalesce(execution.status, '')
FROM workflow_firings AS firing INDEXED BY firings_open
    LEFT JOIN workflow_executions AS execution ON execution.id = firing.execution
WHERE firing.open = 1 AND firing.outcome = 'ran' AND (execution.id IS NULL OR execution.ended_at IS NOT NULL)
LIMIT :limit;

-- name: firings_waiting
SELECT firing.schedule, firing.nominal, firing.cause, firing.outcome, firing.reason, firing.execution,
    firing.recorded_at, firing.open, ''
FROM workflow_firings AS firing INDEXED BY firings_open
WHERE firing.open = 1 AND firing.outcome = 'waiting' AND firing.schedule = :schedule ORDER BY firing.nominal;

-- name: schedules_waiting
SELECT DISTINCT schedule FROM workflow_firings INDEXED BY firings_open WHERE open = 1 AND outcome = 'waiting';

-- name: firings_prune
DELETE FROM workflow_firings WHERE (schedule, nominal) IN (
    SELECT schedule, nominal FROM workflow_firings INDEXED BY firings_by_record
    WHERE recorded_at < :before AND open = 0 ORDER BY recorded_at LIMIT :limit
);
