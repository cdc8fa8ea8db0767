-- What a plan's reads answered is kept with each execution. Executions are also asked for by the time of their creation.

ALTER TABLE execution_inputs ADD COLUMN answers TEXT;

CREATE INDEX executions_by_creation ON workflow_executions (created_at);
