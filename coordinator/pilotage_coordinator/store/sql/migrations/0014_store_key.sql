-- Which key the database's ciphertexts are made with, so that another one is refused before anything is read.

CREATE TABLE store_key (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    fingerprint TEXT NOT NULL,
    root BLOB NOT NULL, -- encrypted with that key: what other keys are derived from
    since INTEGER NOT NULL
) STRICT;
