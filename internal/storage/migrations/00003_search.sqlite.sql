-- +goose Up
-- Full-text search. searchable has the events whose words are in the index.
CREATE TABLE searchable (
    pos     BIGINT NOT NULL PRIMARY KEY,
    room_id TEXT   NOT NULL,
    sender  TEXT   NOT NULL
);
CREATE INDEX searchable_sender ON searchable (sender, pos);

-- The index, by the pos of the event as rowid. It has no copy of the text
-- (content), nor where in it a word is (detail, columnsize), and forgets words at
-- once and not at its next merge (secure-delete). search.go makes the words, so
-- the tokenizer only has to part them at spaces: that of ASCII takes every other
-- character for a letter. The column pos is there to be named: it has nothing.
CREATE VIRTUAL TABLE search_words USING fts5 (
    pos UNINDEXED, words, content = '', detail = none, columnsize = 0, tokenize = 'ascii'
);
INSERT INTO search_words (search_words, rank) VALUES ('secure-delete', 1);

-- Redactions of events that have not come yet: they are applied when those come.
CREATE TABLE redactions_waiting (
    room_id      TEXT NOT NULL,
    target_id    TEXT NOT NULL,
    redaction_id TEXT NOT NULL,
    PRIMARY KEY (room_id, target_id, redaction_id)
);
