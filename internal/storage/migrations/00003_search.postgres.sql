-- +goose Up
-- Full-text search. searchable has the events whose words are in the index.
CREATE TABLE searchable (
    pos     BIGINT NOT NULL PRIMARY KEY,
    room_id TEXT   NOT NULL,
    sender  TEXT   NOT NULL
);
CREATE INDEX searchable_sender ON searchable (sender, pos);

-- The words of an event, which search.go makes.
CREATE TABLE search_words (
    pos   BIGINT   NOT NULL PRIMARY KEY,
    words TSVECTOR NOT NULL
);
CREATE INDEX search_words_words ON search_words USING GIN (words);

-- Redactions of events that have not come yet: they are applied when those come.
CREATE TABLE redactions_waiting (
    room_id      TEXT NOT NULL,
    target_id    TEXT NOT NULL,
    redaction_id TEXT NOT NULL,
    PRIMARY KEY (room_id, target_id, redaction_id)
);
