INSERT INTO gateway_sequences
    (session_id, class, class_map, counted, shard_id, shard_count, session_started, updated_at)
    VALUES ('s', 1, 1, '{[2,40)}', 0, 1, '2026-01-01T00:00:00Z', '2026-02-01T00:00:00Z');
INSERT INTO guild_quarters VALUES (1, '2026-02-01T00:00:00Z', 1, 4), (1, '2026-02-01T00:00:00Z', 100, 60000);
INSERT INTO channel_quarters VALUES (1, 5, '2026-02-01T00:00:00Z', 1, 4), (1, 6, '2026-02-01T00:00:00Z', 100, 60000);
INSERT INTO member_days VALUES (1, '2026-02-01', 7, 1, 4), (1, '2026-02-01', 7, 100, 60000);
INSERT INTO member_channel_days VALUES (1, '2026-02-01', 7, 5, 1, 4), (1, '2026-02-01', 7, 6, 100, 60000);
INSERT INTO member_stats (guild_id, user_id, messages, voice_millis, first_seen_at, last_seen_at)
    VALUES (1, 7, 4, 60000, '2026-02-01T00:00:00Z', '2026-02-01T00:05:00Z');
INSERT INTO voice_transitions VALUES
    (1, 7, '2026-01-01T00:00:00Z', 's', 20, 0, '2026-02-01T00:00:00Z', 6, 'Europe/Paris', '2026-02-01T00:01:00Z'),
    (1, 7, '2026-01-01T00:00:00Z', 's', 21, 0, '2026-02-01T00:01:00Z', NULL, 'Europe/Paris', NULL);
INSERT INTO voice_rosters VALUES (1, '2026-01-01T00:00:00Z', 's', 2, 0, '2026-01-01T00:00:00Z');
INSERT INTO coverage_gaps VALUES (0, 1, 'r', 900, '2025-12-31T23:00:00Z', '2026-01-01T00:00:00Z');
INSERT INTO dirty_hours VALUES (1, '2026-02-01T00:00:00Z', '2026-02-01T00:10:00Z', 1);
-- The tables that the next migration makes into hypertables are filled after it: only empty ones can be.
