INSERT INTO guilds (guild_id, first_seen_at, last_created_at, ingest_version, ingested_at)
    VALUES (1, '2026-01-01T00:00:00Z', '2026-01-01T00:00:00Z', 3, '2026-02-01T00:00:00Z');
INSERT INTO guild_settings VALUES
    (1, '{"language": "fr", "time_zone": "Europe/Paris", "modules": ["analytics"]}', 1, '2026-01-02T00:00:00Z', 9);
INSERT INTO guild_setting_revisions VALUES
    (1, 1, '{"language": "fr", "time_zone": "Europe/Paris", "modules": ["analytics"]}', 9, '2026-01-02T00:00:00Z');
INSERT INTO guild_time_zones VALUES (1, '2026-01-02T00:00:00Z', 'Europe/Paris');
INSERT INTO audit_logs (guild_id, actor_id, action, details, at)
    VALUES (1, 9, 'settings.save', '{"revision": 1}', '2026-01-02T00:00:00Z');
INSERT INTO interactions_seen VALUES (77, '2026-01-02T00:00:00Z');
INSERT INTO jobs VALUES (78, 1, '2026-01-02T00:01:00Z', '2026-01-02T00:00:00Z', '2026-01-02T00:00:05Z');
INSERT INTO subscriptions VALUES (1, 'pro', '2026-01-02T00:00:00Z');
