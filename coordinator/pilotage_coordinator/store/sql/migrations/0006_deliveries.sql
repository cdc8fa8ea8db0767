-- Notifications of steps, and their delivery.

CREATE TABLE deliveries (
    number INTEGER PRIMARY KEY,
    notification TEXT NOT NULL UNIQUE,
    execution TEXT NOT NULL,
    path TEXT NOT NULL,
    host TEXT NOT NULL,
    item TEXT NOT NULL,
    channel TEXT NOT NULL,
    message TEXT NOT NULL, -- JSON
    recorded_at INTEGER NOT NULL,
    status TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    due_at INTEGER NOT NULL,
    ended_at INTEGER,
    error TEXT NOT NULL
) STRICT;
CREATE INDEX deliveries_due ON deliveries (channel, due_at, number) WHERE ended_at IS NULL;
CREATE INDEX deliveries_in_order ON deliveries (execution, channel, number) WHERE ended_at IS NULL;
CREATE INDEX deliveries_by_status ON deliveries (status);
CREATE INDEX deliveries_by_execution ON deliveries (execution);
