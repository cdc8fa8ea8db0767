-- What people call the blueprint of an execution; of a command, its words.

ALTER TABLE workflow_executions ADD COLUMN name TEXT NOT NULL DEFAULT '';
