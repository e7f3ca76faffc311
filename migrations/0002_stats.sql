-- What the gateway delivered, counted. Ids are Discord's; 0 stands for "none" where a key needs a value.
-- Kinds are the numbers of the domain's event kinds; 100 stands for milliseconds in voice.

-- Which sequences of a session and class were counted. Touching ranges merge, so a row stays tiny.
CREATE TABLE gateway_sequences (
    id bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    session_id text COLLATE "C" NOT NULL,
    class smallint NOT NULL,
    class_map smallint NOT NULL,
    counted int8multirange NOT NULL DEFAULT '{}',
    shard_id integer NOT NULL,
    shard_count integer NOT NULL,
    session_started timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (session_id, class)
) WITH (fillfactor = 70);
CREATE INDEX gateway_sequences_by_age ON gateway_sequences (updated_at);

-- Raw events, 30 days. (source_id, seq, idx) is an event's identity; it carries no unique index, because the table above
-- already keeps it unique and such an index would forbid loading straight into the columnstore.
CREATE TABLE events (
    ts timestamptz NOT NULL,
    guild_id bigint NOT NULL,
    channel_id bigint,
    user_id bigint,
    target_id bigint,
    source_id bigint NOT NULL,
    seq bigint NOT NULL,
    idx integer NOT NULL,
    shard_id integer NOT NULL,
    kind smallint NOT NULL
);

-- Counters. They are updated in place all the time and none of their indexes holds the count, so room on the page makes
-- the updates heap-only.
CREATE TABLE guild_quarters (
    guild_id bigint NOT NULL,
    bucket timestamptz NOT NULL,
    kind smallint NOT NULL,
    count bigint NOT NULL,
    PRIMARY KEY (guild_id, bucket, kind)
) WITH (fillfactor = 80);

CREATE TABLE channel_quarters (
    guild_id bigint NOT NULL,
    channel_id bigint NOT NULL,
    bucket timestamptz NOT NULL,
    kind smallint NOT NULL,
    count bigint NOT NULL,
    PRIMARY KEY (guild_id, channel_id, bucket, kind)
) WITH (fillfactor = 80);

-- The day comes before the member: a leaderboard reads a range of days, one member's history is one probe a day.
CREATE TABLE member_days (
    guild_id bigint NOT NULL,
    day date NOT NULL,
    user_id bigint NOT NULL,
    kind smallint NOT NULL,
    count bigint NOT NULL,
    PRIMARY KEY (guild_id, day, user_id, kind)
) WITH (fillfactor = 80);

-- Complete: every counted event is in it, with channel 0 and member 0 where there is none.
CREATE TABLE member_channel_days (
    guild_id bigint NOT NULL,
    day date NOT NULL,
    user_id bigint NOT NULL,
    channel_id bigint NOT NULL,
    kind smallint NOT NULL,
    count bigint NOT NULL,
    PRIMARY KEY (guild_id, day, user_id, channel_id, kind)
) WITH (fillfactor = 80);
CREATE INDEX member_channel_days_by_channel ON member_channel_days (guild_id, channel_id, day);

-- Cumulative, without end, from the guild's member_period_start on. The score counts reactions given: one taken back was
-- given all the same, and a score never falls.
CREATE TABLE member_stats (
    guild_id bigint NOT NULL,
    user_id bigint NOT NULL,
    messages bigint NOT NULL DEFAULT 0,
    edits bigint NOT NULL DEFAULT 0,
    deletes bigint NOT NULL DEFAULT 0,
    reactions bigint NOT NULL DEFAULT 0,
    reactions_removed bigint NOT NULL DEFAULT 0,
    voice_millis bigint NOT NULL DEFAULT 0,
    joins bigint NOT NULL DEFAULT 0,
    leaves bigint NOT NULL DEFAULT 0,
    score bigint NOT NULL GENERATED ALWAYS AS (messages + 2 * (voice_millis / 60000) + reactions) STORED,
    first_seen_at timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    PRIMARY KEY (guild_id, user_id)
) WITH (fillfactor = 70);
CREATE INDEX member_stats_by_messages ON member_stats (guild_id, messages DESC);
CREATE INDEX member_stats_by_voice ON member_stats (guild_id, voice_millis DESC);
CREATE INDEX member_stats_by_score ON member_stats (guild_id, score DESC);

-- Who went into which voice channel (NULL: out of voice), in the order the gateway said it. Time in voice is derived:
-- a row stands until the member's next row, or until the guild's next roster, but not from one session into another
-- across the first one's coverage gap. counted_until is the part of that the counters hold; NULL in a row with a channel:
-- the member is there now.
CREATE TABLE voice_transitions (
    guild_id bigint NOT NULL,
    user_id bigint NOT NULL,
    session_started timestamptz NOT NULL,
    session_id text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    idx integer NOT NULL,
    at timestamptz NOT NULL,
    channel_id bigint,
    -- The zone of the days this row's time is counted on, fixed when it was stored.
    time_zone text NOT NULL,
    counted_until timestamptz,
    PRIMARY KEY (guild_id, user_id, session_started, session_id, seq, idx)
);
CREATE INDEX voice_transitions_open ON voice_transitions (guild_id)
    WHERE channel_id IS NOT NULL AND counted_until IS NULL;
CREATE INDEX voice_transitions_by_age ON voice_transitions (at);
-- For the day the session is lost.
CREATE INDEX voice_transitions_by_session ON voice_transitions (session_id);

-- Moments at which everyone left voice; who stayed has a transition in the same frame.
CREATE TABLE voice_rosters (
    guild_id bigint NOT NULL,
    session_started timestamptz NOT NULL,
    session_id text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    idx integer NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (guild_id, session_started, session_id, seq, idx)
);
CREATE INDEX voice_rosters_by_age ON voice_rosters (at);

CREATE TABLE gauges (
    guild_id bigint NOT NULL,
    slot timestamptz NOT NULL,
    members integer,
    online integer,
    in_voice integer NOT NULL,
    PRIMARY KEY (guild_id, slot)
);

CREATE TABLE coverage_gaps (
    shard_id integer NOT NULL,
    shard_count integer NOT NULL,
    lost_session text NOT NULL,
    after_seq bigint NOT NULL,
    gap_from timestamptz NOT NULL,
    gap_to timestamptz NOT NULL,
    PRIMARY KEY (shard_id, shard_count, lost_session)
);
CREATE INDEX coverage_gaps_by_end ON coverage_gaps (gap_to);
CREATE INDEX coverage_gaps_by_session ON coverage_gaps (lost_session);

-- Hours whose snapshot is older than their counters. The row lock hands an hour over between ingest and rollup.
CREATE TABLE dirty_hours (
    guild_id bigint NOT NULL,
    hour timestamptz NOT NULL,
    -- Since when: the oldest come first.
    marked_at timestamptz NOT NULL,
    version bigint NOT NULL DEFAULT 1,
    PRIMARY KEY (guild_id, hour)
) WITH (fillfactor = 50);
CREATE INDEX dirty_hours_by_age ON dirty_hours (marked_at);

-- Hours and local days of a guild, 1 year. `data` holds the counts of every kind, by name.
CREATE TABLE metrics_snapshots (
    guild_id bigint NOT NULL,
    period text NOT NULL CHECK (period IN ('hour', 'day')),
    bucket timestamptz NOT NULL,
    messages bigint NOT NULL,
    bot_messages bigint NOT NULL,
    edits bigint NOT NULL,
    deletes bigint NOT NULL,
    reactions bigint NOT NULL,
    joins bigint NOT NULL,
    leaves bigint NOT NULL,
    voice_seconds bigint NOT NULL,
    active_members bigint,
    member_count integer,
    online integer,
    data jsonb NOT NULL,
    PRIMARY KEY (guild_id, period, bucket)
);
