-- What its owner saw when a schedule was set. Of one that was set before, nothing is known to have been seen.

ALTER TABLE workflow_schedules ADD COLUMN seen TEXT NOT NULL DEFAULT '{}'; -- JSON
