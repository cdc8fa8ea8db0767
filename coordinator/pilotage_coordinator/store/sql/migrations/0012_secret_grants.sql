-- Who may be given a secret's value. What was stored before grants goes on being given to whoever names it.

ALTER TABLE secrets ADD COLUMN grants TEXT NOT NULL DEFAULT '[]'; -- JSON: who may be given the value

UPDATE secrets SET grants = '[{}]' WHERE name NOT LIKE 'execution/%';
