-- When backups are made. The RYTHM application's table and its name for this file: where the
-- application has made the table already, nothing here changes it.

CREATE TABLE IF NOT EXISTS backup_schedule (
    schedule_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    enabled boolean DEFAULT false,
    schedule_time time DEFAULT '02:00:00',      -- on time_zone's clock (101)
    retention_days integer DEFAULT 30,
    last_run_at timestamptz,                    -- when the last backup completed
    next_run_at timestamptz,                    -- the next scheduled instant
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);

-- One row to begin with, switched off.
INSERT INTO backup_schedule (enabled, schedule_time, retention_days)
SELECT false, '02:00:00', 30
WHERE NOT EXISTS (SELECT FROM backup_schedule);
