-- Schedules, and what became of each of their times.

CREATE TABLE workflow_schedules (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    owner TEXT NOT NULL,
    blueprint TEXT NOT NULL,
    parameters TEXT NOT NULL, -- JSON
    limit_to TEXT NOT NULL,
    hosts TEXT NOT NULL, -- JSON
    reason TEXT NOT NULL,
    reference TEXT NOT NULL,
    change_class TEXT NOT NULL,
    timetable TEXT NOT NULL, -- JSON
    overlap TEXT NOT NULL,
    catchup INTEGER NOT NULL,
    jitter INTEGER NOT NULL,
    most_runs INTEGER NOT NULL,
    pause_on_failure INTEGER NOT NULL,
    state TEXT NOT NULL,
    note TEXT NOT NULL,
    runs INTEGER NOT NULL,
    last_nominal INTEGER,
    next_nominal INTEGER,
    due_at INTEGER,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    updated_at INTEGER NOT NULL,
    updated_by TEXT NOT NULL
) STRICT;
CREATE INDEX schedules_due ON workflow_schedules (due_at) WHERE due_at IS NOT NULL;
CREATE UNIQUE INDEX schedules_by_name ON workflow_schedules (name) WHERE state <> 'cancelled';

CREATE TABLE workflow_firings (
    schedule TEXT NOT NULL,
    nominal INTEGER NOT NULL,
    cause TEXT NOT NULL,
    outcome TEXT NOT NULL,
    reason TEXT NOT NULL,
    execution TEXT NOT NULL,
    recorded_at INTEGER NOT NULL,
    open INTEGER NOT NULL,
    PRIMARY KEY (schedule, nominal)
) STRICT, WITHOUT ROWID;
CREATE INDEX firings_open ON workflow_firings (outcome, schedule, nominal) WHERE open = 1;
CREATE INDEX firings_ran ON workflow_firings (schedule, nominal) WHERE execution <> '';
CREATE INDEX firings_by_record ON workflow_firings (recorded_at);
