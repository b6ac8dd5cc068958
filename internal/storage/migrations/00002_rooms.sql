-- +goose Up
-- Rooms. Event ids, room ids and user ids are text; positions are those of the
-- table stream.

-- The state of rooms, as persistent trees (internal/state): id is the start of
-- the SHA-256 of body, so that the same state has the same root.
CREATE TABLE state_nodes (
    room_id TEXT  NOT NULL,
    id      BYTEA NOT NULL,
    body    BYTEA NOT NULL,
    PRIMARY KEY (room_id, id)
);
