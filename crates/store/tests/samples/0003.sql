INSERT INTO events VALUES ('2026-02-01T00:00:01Z', 1, 5, 7, 1000, 1, 3, 0, 0, 1);
INSERT INTO gauges VALUES (1, '2026-02-01T00:00:00Z', 120, 30, 4);
INSERT INTO metrics_snapshots VALUES (1, 'hour', '2026-02-01T00:00:00Z', 4, 0, 0, 0, 0, 0, 0, 60, 1, 120, 30, '{}');
