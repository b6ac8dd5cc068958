-- +goose Up
-- Rooms. Event ids, room ids and user ids are text; positions are those of the
-- table stream.

-- The processes that have this database open, on PostgreSQL (nodes.go).
-- alive_until is the end of a lease by the database's clock; shared says that
-- the process answers nothing from memory, as others may have changed it.
CREATE TABLE nodes (
    id          TEXT    NOT NULL PRIMARY KEY,
    started_at  BIGINT  NOT NULL,
    alive_until BIGINT  NOT NULL,
    shared      BOOLEAN NOT NULL
);
DROP TABLE holder;

-- The state of rooms, as persistent trees (internal/state): id is the start of
-- the SHA-256 of body, so that the same state has the same root.
CREATE TABLE state_nodes (
    room_id TEXT  NOT NULL,
    id      BYTEA NOT NULL,
    body    BYTEA NOT NULL,
    PRIMARY KEY (room_id, id)
);

-- What happened at each position, for the other processes on a PostgreSQL
-- database: bucket is pos modulo 8, so that the index has no single hot end. A
-- row goes when every process has read it. SQLite has one process, and no rows.
CREATE TABLE changes (
    bucket  SMALLINT NOT NULL,
    pos     BIGINT   NOT NULL,
    kind    SMALLINT NOT NULL,
    room_id TEXT     NOT NULL,
    user_id TEXT     NOT NULL,
    PRIMARY KEY (bucket, pos)
);

-- state is the root of the room's current state, extremities the JSON list of
-- the forward extremities, depth the greatest of theirs, last_pos the position
-- of the newest event in the timeline.
CREATE TABLE rooms (
    room_id     TEXT   NOT NULL PRIMARY KEY,
    version     TEXT   NOT NULL,
    created_at  BIGINT NOT NULL,
    state       BYTEA  NOT NULL,
    extremities TEXT   NOT NULL,
    depth       BIGINT NOT NULL,
    last_pos    BIGINT NOT NULL,
    joined      BIGINT NOT NULL,
    invited     BIGINT NOT NULL
);

-- Events. The order of a timeline is that of pos: the position at which an event
-- came, or minus that for one from before the timeline's start (backfill). kind
-- is 0 in the timeline, 1 soft-failed, 2 rejected, 3 outlier. state is the root
-- of the state before the event, empty where it is not known. json is the PDU;
-- its redacted form once redacted_by (an event id) or erased is set.
CREATE TABLE events (
    room_id     TEXT     NOT NULL,
    pos         BIGINT   NOT NULL,
    event_id    TEXT     NOT NULL,
    kind        SMALLINT NOT NULL,
    sender      TEXT     NOT NULL,
    type        TEXT     NOT NULL,
    state_key   TEXT,
    ts          BIGINT   NOT NULL,
    state       BYTEA    NOT NULL,
    json        BYTEA    NOT NULL,
    redacted_by TEXT,
    erased      BOOLEAN  NOT NULL DEFAULT FALSE,
    PRIMARY KEY (room_id, pos)
);
CREATE INDEX events_sender ON events (sender, room_id, pos);

CREATE TABLE event_ids (
    event_id TEXT   NOT NULL PRIMARY KEY,
    room_id  TEXT   NOT NULL,
    pos      BIGINT NOT NULL
);

-- Transaction ids of clients: of sends, redactions and to-device messages.
-- scope is the endpoint with its path parameters.
CREATE TABLE transactions (
    user_id    TEXT   NOT NULL,
    device_id  TEXT   NOT NULL,
    scope      TEXT   NOT NULL,
    txn_id     TEXT   NOT NULL,
    event_id   TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (user_id, device_id, scope, txn_id)
);
CREATE INDEX transactions_event ON transactions (event_id);
CREATE INDEX transactions_age ON transactions (created_at);

-- The current membership of everybody in a room: pos and event_id are those of
-- the m.room.member event. stripped is the state that came with an invite to a
-- room that this server is not in.
CREATE TABLE memberships (
    room_id    TEXT    NOT NULL,
    user_id    TEXT    NOT NULL,
    membership TEXT    NOT NULL,
    pos        BIGINT  NOT NULL,
    event_id   TEXT    NOT NULL,
    sender     TEXT    NOT NULL,
    forgotten  BOOLEAN NOT NULL DEFAULT FALSE,
    stripped   TEXT,
    PRIMARY KEY (room_id, user_id)
);
CREATE INDEX memberships_user ON memberships (user_id, membership);

-- Each change of the membership of a user of this server, for the door: what
-- someone could see when.
CREATE TABLE membership_changes (
    room_id    TEXT   NOT NULL,
    user_id    TEXT   NOT NULL,
    pos        BIGINT NOT NULL,
    membership TEXT   NOT NULL,
    PRIMARY KEY (room_id, user_id, pos)
);

CREATE INDEX accounts_erased ON accounts (erased_pos) WHERE erased_pos IS NOT NULL;
CREATE INDEX account_data_pos ON account_data (user_id, pos);

-- What events of timelines relate to. pos, event_id, sender, type, ts and state
-- are those of the child; rel_key is the key of an annotation. An event whose
-- content is gone relates to nothing.
CREATE TABLE relations (
    room_id   TEXT   NOT NULL,
    parent_id TEXT   NOT NULL,
    rel_type  TEXT   NOT NULL,
    pos       BIGINT NOT NULL,
    event_id  TEXT   NOT NULL,
    sender    TEXT   NOT NULL,
    type      TEXT   NOT NULL,
    ts        BIGINT NOT NULL,
    state     BYTEA  NOT NULL,
    rel_key   TEXT   NOT NULL,
    PRIMARY KEY (room_id, parent_id, rel_type, pos)
);

-- The events that have relations of the type m.thread, with the newest of them.
CREATE TABLE threads (
    room_id  TEXT   NOT NULL,
    root_id  TEXT   NOT NULL,
    last_pos BIGINT NOT NULL,
    PRIMARY KEY (room_id, root_id)
);
CREATE INDEX threads_last ON threads (room_id, last_pos);

-- Up to where people have read: one row per thread of a room, "main" and "" (no
-- matter which) among them. event_pos is the event's place in the timeline, pos
-- the receipt's in the stream.
CREATE TABLE receipts (
    room_id   TEXT   NOT NULL,
    user_id   TEXT   NOT NULL,
    type      TEXT   NOT NULL,
    thread_id TEXT   NOT NULL,
    event_id  TEXT   NOT NULL,
    event_pos BIGINT NOT NULL,
    ts        BIGINT NOT NULL,
    pos       BIGINT NOT NULL,
    PRIMARY KEY (room_id, user_id, type, thread_id)
);
CREATE INDEX receipts_pos ON receipts (room_id, pos);
CREATE INDEX receipts_user ON receipts (user_id);

-- Rooms in which events of an erased user are still whole on disk. looks counts
-- what has happened that may have changed who is left to read them; kept is how
-- many messages were kept for somebody when it was last looked at.
CREATE TABLE erasures_pending (
    room_id    TEXT   NOT NULL,
    user_id    TEXT   NOT NULL,
    erased_pos BIGINT NOT NULL,
    looks      BIGINT NOT NULL,
    kept       BIGINT NOT NULL,
    PRIMARY KEY (room_id, user_id)
);
CREATE INDEX erasures_pending_user ON erasures_pending (user_id, room_id);

-- The member events about a person.
CREATE INDEX events_about ON events (state_key, room_id, pos) WHERE type = 'm.room.member';

-- The aliases of this server, and by whom they were made: that goes with the
-- account.
CREATE TABLE aliases (
    alias      TEXT   NOT NULL PRIMARY KEY,
    room_id    TEXT   NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX aliases_room ON aliases (room_id);

CREATE TABLE alias_creators (
    alias   TEXT NOT NULL PRIMARY KEY,
    user_id TEXT NOT NULL
);
CREATE INDEX alias_creators_user ON alias_creators (user_id);

-- The directory: text is what is searched, summary the JSON of what is shown, but
-- for the number of members. network is "" for the server's own list; else the
-- list is an application service's, for one of its networks.
CREATE TABLE public_rooms (
    room_id   TEXT NOT NULL PRIMARY KEY,
    room_type TEXT NOT NULL,
    text      TEXT NOT NULL,
    summary   TEXT NOT NULL
);

CREATE TABLE public_lists (
    room_id TEXT NOT NULL,
    network TEXT NOT NULL,
    PRIMARY KEY (room_id, network)
);

-- Who is typing: expires_at is when that ends, 0 once it has; pos is the position
-- of when it began or ended. What has ended stays for those who have not heard.
CREATE TABLE typing (
    room_id    TEXT   NOT NULL,
    user_id    TEXT   NOT NULL,
    expires_at BIGINT NOT NULL,
    pos        BIGINT NOT NULL,
    PRIMARY KEY (room_id, user_id)
);
CREATE INDEX typing_expires ON typing (expires_at, pos);
CREATE INDEX typing_user ON typing (user_id);

-- Who is there. active_at is when they last did something, as known at pos, the
-- position of the last change.
CREATE TABLE presence (
    user_id    TEXT   NOT NULL PRIMARY KEY,
    state      TEXT   NOT NULL,
    status_msg TEXT   NOT NULL,
    active_at  BIGINT NOT NULL,
    pos        BIGINT NOT NULL
);
CREATE INDEX presence_pos ON presence (pos);

-- Profiles whose change has to go into the rooms of their user. seq counts the
-- changes, room_id is up to where, in the order of ids, the last of them has gone.
CREATE TABLE profile_changes (
    user_id TEXT   NOT NULL PRIMARY KEY,
    seq     BIGINT NOT NULL,
    room_id TEXT   NOT NULL
);

-- What people have reported to the operators: an event, a room, or a person. The
-- order of the ids is that of time.
CREATE TABLE reports (
    id         TEXT   NOT NULL PRIMARY KEY,
    created_at BIGINT NOT NULL,
    reporter   TEXT   NOT NULL,
    room_id    TEXT   NOT NULL,
    event_id   TEXT   NOT NULL,
    user_id    TEXT   NOT NULL,
    reason     TEXT   NOT NULL
);
CREATE INDEX reports_reporter ON reports (reporter);

-- The room in which a person gets the server's notices.
CREATE TABLE notice_rooms (
    user_id TEXT NOT NULL PRIMARY KEY,
    room_id TEXT NOT NULL
);
