-- Guilds, what their administrators decided, and the ledgers that make an effect happen once.

CREATE TABLE guilds (
    guild_id bigint PRIMARY KEY CHECK (guild_id > 0),
    -- The earliest instant any of its events names; NULL before the first.
    first_seen_at timestamptz,
    -- The latest GUILD_CREATE and GUILD_DELETE by their own instants, so that their order of arrival does not matter.
    last_created_at timestamptz,
    last_deleted_at timestamptz,
    left_at timestamptz GENERATED ALWAYS AS (
        CASE WHEN last_created_at IS NULL OR last_deleted_at > last_created_at THEN last_deleted_at END
    ) STORED,
    -- Rises with every transaction that changed one of the guild's numbers: the key of cached answers.
    ingest_version bigint NOT NULL DEFAULT 0,
    ingested_at timestamptz,
    -- Cumulative member counters begin with this local day; NULL: with the first event.
    member_period_start date
) WITH (fillfactor = 70);

CREATE TABLE guild_settings (
    guild_id bigint PRIMARY KEY CHECK (guild_id > 0),
    settings jsonb NOT NULL,
    revision bigint NOT NULL CHECK (revision > 0),
    updated_at timestamptz NOT NULL,
    updated_by bigint NOT NULL
);

CREATE TABLE guild_setting_revisions (
    guild_id bigint NOT NULL,
    revision bigint NOT NULL,
    settings jsonb NOT NULL,
    author bigint NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (guild_id, revision)
);

-- Which zone a guild's days follow from an instant on. Before the first row they follow UTC.
CREATE TABLE guild_time_zones (
    guild_id bigint NOT NULL,
    since timestamptz NOT NULL,
    time_zone text NOT NULL,
    PRIMARY KEY (guild_id, since)
);

CREATE TABLE audit_logs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    guild_id bigint NOT NULL,
    actor_id bigint NOT NULL,
    action text NOT NULL,
    details jsonb NOT NULL,
    at timestamptz NOT NULL
);
CREATE INDEX audit_logs_by_guild ON audit_logs (guild_id, at DESC);

-- An interaction's id is here once it had its effect.
CREATE TABLE interactions_seen (
    interaction_id bigint PRIMARY KEY,
    seen_at timestamptz NOT NULL
);
CREATE INDEX interactions_seen_by_age ON interactions_seen (seen_at);

CREATE TABLE jobs (
    id bigint PRIMARY KEY,
    attempt integer NOT NULL,
    leased_until timestamptz NOT NULL,
    started_at timestamptz NOT NULL,
    finished_at timestamptz
);
CREATE INDEX jobs_by_age ON jobs (started_at);

-- Seeded until billing exists.
CREATE TABLE subscriptions (
    guild_id bigint PRIMARY KEY,
    plan text NOT NULL CHECK (plan IN ('free', 'pro', 'enterprise')),
    since timestamptz NOT NULL
);
