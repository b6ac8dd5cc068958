-- +goose Up
-- One text for SQLite and PostgreSQL. Times are milliseconds since the epoch,
-- secrets are SHA-256 hashes. Every column that holds something about a person
-- is in the inventory (internal/deactivation/inventory.go); a test fails for
-- one that is not.

CREATE TABLE server (
    id          INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    server_name TEXT    NOT NULL,
    created_at  BIGINT  NOT NULL
);

CREATE TABLE server_keys (
    key_id     TEXT   NOT NULL PRIMARY KEY,
    seed       BYTEA  NOT NULL,
    created_at BIGINT NOT NULL
);

-- The one stream position of the server (docs/design.md, Positions).
CREATE TABLE stream (
    id  INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    pos BIGINT  NOT NULL
);
INSERT INTO stream (id, pos) VALUES (1, 0);

-- Which process has the database, on PostgreSQL (internal/storage/pglock.go).
CREATE TABLE holder (
    id      INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    process TEXT    NOT NULL
);

-- A row stays for ever: localparts are never given out again.
CREATE TABLE accounts (
    user_id        TEXT    NOT NULL PRIMARY KEY,
    kind           TEXT    NOT NULL CHECK (kind IN ('user', 'guest', 'appservice')),
    appservice_id  TEXT,
    is_admin       BOOLEAN NOT NULL DEFAULT FALSE,
    password_hash  TEXT,
    created_at     BIGINT  NOT NULL,
    locked_at      BIGINT,
    suspended_at   BIGINT,
    deactivated_at BIGINT,
    erased_pos     BIGINT
);
CREATE INDEX accounts_created ON accounts (created_at, user_id);

CREATE TABLE devices (
    user_id      TEXT   NOT NULL REFERENCES accounts (user_id),
    device_id    TEXT   NOT NULL,
    display_name TEXT,
    created_at   BIGINT NOT NULL,
    last_seen_at BIGINT,
    last_seen_ip TEXT,
    PRIMARY KEY (user_id, device_id)
);

-- retires is the refresh token whose rotation made this token: it ends when
-- this token is used for the first time (CS API, Refreshing access tokens).
CREATE TABLE access_tokens (
    token_hash BYTEA  NOT NULL PRIMARY KEY,
    user_id    TEXT   NOT NULL,
    device_id  TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    retires    BYTEA,
    FOREIGN KEY (user_id, device_id) REFERENCES devices (user_id, device_id) ON DELETE CASCADE
);
CREATE INDEX access_tokens_owner ON access_tokens (user_id, device_id);

CREATE TABLE refresh_tokens (
    token_hash     BYTEA  NOT NULL PRIMARY KEY,
    user_id        TEXT   NOT NULL,
    device_id      TEXT   NOT NULL,
    created_at     BIGINT NOT NULL,
    expires_at     BIGINT,
    access_hash    BYTEA  NOT NULL,
    successor_hash BYTEA,
    FOREIGN KEY (user_id, device_id) REFERENCES devices (user_id, device_id) ON DELETE CASCADE
);
CREATE INDEX refresh_tokens_owner ON refresh_tokens (user_id, device_id);

CREATE TABLE login_tokens (
    token_hash BYTEA  NOT NULL PRIMARY KEY,
    user_id    TEXT   NOT NULL REFERENCES accounts (user_id),
    expires_at BIGINT NOT NULL
);
CREATE INDEX login_tokens_owner ON login_tokens (user_id);

CREATE TABLE openid_tokens (
    token_hash BYTEA  NOT NULL PRIMARY KEY,
    user_id    TEXT   NOT NULL REFERENCES accounts (user_id),
    expires_at BIGINT NOT NULL
);
CREATE INDEX openid_tokens_owner ON openid_tokens (user_id);

-- endpoint is "METHOD path"; user_id and device_id are those of the access
-- token that began the session, NULL where there was none. subject is the user
-- a stage proved. completed, stored and offer (the flows) are JSON objects.
-- registration_token is the token that the session has taken a use of, for as
-- long as it lives.
CREATE TABLE uia_sessions (
    session_hash BYTEA  NOT NULL PRIMARY KEY,
    endpoint     TEXT   NOT NULL,
    user_id      TEXT,
    device_id    TEXT,
    subject      TEXT,
    completed    TEXT   NOT NULL,
    stored       TEXT   NOT NULL,
    offer        TEXT   NOT NULL,
    registration_token TEXT,
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL
);
CREATE INDEX uia_sessions_token ON uia_sessions (registration_token);
CREATE INDEX uia_sessions_user ON uia_sessions (user_id);
CREATE INDEX uia_sessions_subject ON uia_sessions (subject);
CREATE INDEX uia_sessions_expiry ON uia_sessions (expires_at);

CREATE TABLE registration_tokens (
    token        TEXT   NOT NULL PRIMARY KEY,
    uses_allowed BIGINT,
    completed    BIGINT NOT NULL DEFAULT 0,
    expires_at   BIGINT,
    created_at   BIGINT NOT NULL
);

CREATE TABLE terms_accepted (
    user_id     TEXT   NOT NULL REFERENCES accounts (user_id),
    policy      TEXT   NOT NULL,
    version     TEXT   NOT NULL,
    accepted_at BIGINT NOT NULL,
    PRIMARY KEY (user_id, policy, version)
);

CREATE TABLE threepids (
    medium       TEXT   NOT NULL,
    address      TEXT   NOT NULL,
    user_id      TEXT   NOT NULL REFERENCES accounts (user_id),
    validated_at BIGINT NOT NULL,
    added_at     BIGINT NOT NULL,
    PRIMARY KEY (medium, address)
);
CREATE INDEX threepids_owner ON threepids (user_id);

-- Which identity server holds an association of this user: it outlives the
-- identifier's removal from the account until it is unbound. settled_at is NULL
-- while the request that binds is under way, or if nobody knows how it ended.
CREATE TABLE threepid_bindings (
    user_id   TEXT   NOT NULL REFERENCES accounts (user_id),
    medium    TEXT   NOT NULL,
    address   TEXT   NOT NULL,
    id_server TEXT   NOT NULL,
    bound_at  BIGINT NOT NULL,
    settled_at BIGINT,
    PRIMARY KEY (user_id, medium, address, id_server)
);

-- user_id is the user who asked, or whom the address belonged to (password
-- reset); NULL at registration.
CREATE TABLE validation_sessions (
    sid           TEXT   NOT NULL PRIMARY KEY,
    purpose       TEXT   NOT NULL CHECK (purpose IN ('register', 'add', 'password')),
    user_id       TEXT,
    medium        TEXT   NOT NULL,
    address       TEXT   NOT NULL,
    client_secret BYTEA  NOT NULL,
    send_attempt  BIGINT NOT NULL,
    token_hash    BYTEA  NOT NULL,
    tries         BIGINT NOT NULL DEFAULT 0,
    next_link     TEXT,
    validated_at  BIGINT,
    created_at    BIGINT NOT NULL,
    expires_at    BIGINT NOT NULL
);
CREATE UNIQUE INDEX validation_sessions_request ON validation_sessions (purpose, medium, address, client_secret);
CREATE INDEX validation_sessions_user ON validation_sessions (user_id);
CREATE INDEX validation_sessions_expiry ON validation_sessions (expires_at);

CREATE TABLE profile_fields (
    user_id TEXT NOT NULL REFERENCES accounts (user_id),
    name    TEXT NOT NULL,
    value   TEXT NOT NULL,
    PRIMARY KEY (user_id, name)
);

-- room_id is '' for global account data.
CREATE TABLE account_data (
    user_id TEXT   NOT NULL REFERENCES accounts (user_id),
    room_id TEXT   NOT NULL,
    type    TEXT   NOT NULL,
    content TEXT   NOT NULL,
    pos     BIGINT NOT NULL,
    PRIMARY KEY (user_id, room_id, type)
);

CREATE TABLE filters (
    user_id   TEXT NOT NULL REFERENCES accounts (user_id),
    filter_id TEXT NOT NULL,
    content   TEXT NOT NULL,
    PRIMARY KEY (user_id, filter_id)
);

-- The address log: who connected from where, kept for address-log-days.
CREATE TABLE connections (
    user_id      TEXT   NOT NULL REFERENCES accounts (user_id),
    device_id    TEXT   NOT NULL,
    ip           TEXT   NOT NULL,
    user_agent   TEXT   NOT NULL,
    last_seen_at BIGINT NOT NULL,
    PRIMARY KEY (user_id, device_id, ip, user_agent)
);
CREATE INDEX connections_age ON connections (last_seen_at);

-- Durable work. subject groups jobs (an ending's id); unique_key makes
-- enqueueing idempotent. Done jobs with a subject stay until it is dropped.
CREATE TABLE jobs (
    id          TEXT   NOT NULL PRIMARY KEY,
    kind        TEXT   NOT NULL,
    subject     TEXT   NOT NULL DEFAULT '',
    unique_key  TEXT   NOT NULL UNIQUE,
    payload     TEXT   NOT NULL,
    state       TEXT   NOT NULL CHECK (state IN ('pending', 'done')),
    attempts    BIGINT NOT NULL DEFAULT 0,
    last_error  TEXT,
    run_at      BIGINT NOT NULL,
    lease_owner TEXT,
    lease_until BIGINT,
    created_at  BIGINT NOT NULL,
    done_at     BIGINT
);
CREATE INDEX jobs_due ON jobs (run_at) WHERE state = 'pending';
CREATE INDEX jobs_leased ON jobs (lease_until) WHERE lease_owner IS NOT NULL;
CREATE INDEX jobs_subject ON jobs (subject);

-- One row per ending of an account. kept_password is set in a grace period
-- only, undo_hash is the hash of the one-time link's secret.
CREATE TABLE deactivations (
    id            TEXT    NOT NULL PRIMARY KEY,
    user_id       TEXT    NOT NULL REFERENCES accounts (user_id),
    erase         BOOLEAN NOT NULL,
    id_server     TEXT,
    requested_by  TEXT    NOT NULL,
    state         TEXT    NOT NULL CHECK (state IN ('grace', 'running', 'done', 'undone')),
    created_at    BIGINT  NOT NULL,
    grace_until   BIGINT,
    undo_hash     BYTEA,
    kept_password TEXT,
    finished_at   BIGINT,
    receipt       TEXT
);
CREATE INDEX deactivations_user ON deactivations (user_id);
CREATE INDEX deactivations_created ON deactivations (created_at, id);
CREATE UNIQUE INDEX deactivations_undo ON deactivations (undo_hash);

CREATE TABLE deactivation_counts (
    deactivation_id TEXT   NOT NULL REFERENCES deactivations (id),
    category        TEXT   NOT NULL,
    gone            BIGINT NOT NULL,
    PRIMARY KEY (deactivation_id, category)
);

-- Append-only: who did what to whose account.
CREATE TABLE audit_log (
    id     TEXT   NOT NULL PRIMARY KEY,
    at     BIGINT NOT NULL,
    actor  TEXT   NOT NULL,
    action TEXT   NOT NULL,
    target TEXT   NOT NULL,
    detail TEXT   NOT NULL
);
CREATE INDEX audit_log_at ON audit_log (at, id);
CREATE INDEX audit_log_target ON audit_log (target, at);
