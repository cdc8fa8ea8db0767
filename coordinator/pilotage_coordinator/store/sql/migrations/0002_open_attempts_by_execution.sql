-- A secret's nonce is part of its ciphertext. Open attempts are asked for by execution, and only for their epochs.

ALTER TABLE secrets DROP COLUMN nonce;

DROP INDEX attempts_open;
CREATE INDEX attempts_open ON workflow_attempts (execution, ended_at, epoch) WHERE ended_at IS NULL;
