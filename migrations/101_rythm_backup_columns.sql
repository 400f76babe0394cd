-- What rythm-backup adds to the two tables above. A row that has only the old columns behaves as it
-- did in the old service, but that a missed minute is caught up and a failure tried again.

-- When the row was last switched on or given another time: an occurrence before that minute is not
-- caught up. Rows that are here already count as timed now.
ALTER TABLE backup_schedule ADD COLUMN IF NOT EXISTS timed_at timestamptz DEFAULT now();

-- What a row may say beside the application's columns. NULL stands for what the old service did: a
-- daily backup in UTC of the database that these tables are in, whole, to the configured store.
ALTER TABLE backup_schedule ADD COLUMN IF NOT EXISTS name text;
ALTER TABLE backup_schedule ADD COLUMN IF NOT EXISTS tenant_id uuid; -- the application's
-- hourly, daily, weekly or monthly, on these days (weekly: 1 is Monday; monthly: -1 is the last)
ALTER TABLE backup_schedule ADD COLUMN IF NOT EXISTS frequency text;
ALTER TABLE backup_schedule ADD COLUMN IF NOT EXISTS days integer[];
ALTER TABLE backup_schedule ADD COLUMN IF NOT EXISTS time_zone text; -- Europe/Stockholm
ALTER TABLE backup_schedule ADD COLUMN IF NOT EXISTS catch_up interval; -- how late it may start
-- What is dumped: another database of this server or a service of libpq's service file; of that
-- only these schemas, by their exact names. Never a connection string: no password stands here.
ALTER TABLE backup_schedule ADD COLUMN IF NOT EXISTS target_dbname text;
ALTER TABLE backup_schedule ADD COLUMN IF NOT EXISTS target_service text;
-- Or every database of this server, a backup each: rythm_backup_databases() says which those are.
ALTER TABLE backup_schedule ADD COLUMN IF NOT EXISTS all_databases boolean;
ALTER TABLE backup_schedule ADD COLUMN IF NOT EXISTS schemas text[];
ALTER TABLE backup_schedule ADD COLUMN IF NOT EXISTS stores text; -- as RYTHM_BACKUP_STORES
-- Which of its backups are verified once they are made: 1 every one, 7 every seventh, 0 none.
ALTER TABLE backup_schedule ADD COLUMN IF NOT EXISTS verify_every integer;
-- Beside retention_days: what one of them keeps is kept. NULL and 0 are no rule.
ALTER TABLE backup_schedule ADD COLUMN IF NOT EXISTS keep_last integer;
ALTER TABLE backup_schedule ADD COLUMN IF NOT EXISTS keep_daily integer;
ALTER TABLE backup_schedule ADD COLUMN IF NOT EXISTS keep_weekly integer;
ALTER TABLE backup_schedule ADD COLUMN IF NOT EXISTS keep_monthly integer;
ALTER TABLE backup_schedule ADD COLUMN IF NOT EXISTS keep_yearly integer;
-- Who is told of its backups, and of what: the channels, NULL for all that are configured; and some
-- of success, failure and recovery, NULL for the first two.
ALTER TABLE backup_schedule ADD COLUMN IF NOT EXISTS notify_channels text[];
ALTER TABLE backup_schedule ADD COLUMN IF NOT EXISTS notify_on text[];
CREATE UNIQUE INDEX IF NOT EXISTS backup_schedule_by_name ON backup_schedule (name);

ALTER TABLE backup_history ADD COLUMN IF NOT EXISTS run_id text;
ALTER TABLE backup_history ADD COLUMN IF NOT EXISTS schedule_id uuid;
ALTER TABLE backup_history ADD COLUMN IF NOT EXISTS occurrence_at timestamptz;
ALTER TABLE backup_history ADD COLUMN IF NOT EXISTS attempt integer;
ALTER TABLE backup_history ADD COLUMN IF NOT EXISTS raw_size_bytes bigint;
ALTER TABLE backup_history ADD COLUMN IF NOT EXISTS sha256 text;
ALTER TABLE backup_history ADD COLUMN IF NOT EXISTS store text;
-- The database that was dumped. NULL in rows of earlier versions.
ALTER TABLE backup_history ADD COLUMN IF NOT EXISTS database_name text;
-- One of a run of all databases.
ALTER TABLE backup_history ADD COLUMN IF NOT EXISTS of_all_databases boolean;
-- Which ledger the run was begun in: a copy of this table elsewhere is not to judge it.
ALTER TABLE backup_history ADD COLUMN IF NOT EXISTS ledger text;
-- When the mails about the outcome were written to email_logs. Rows that are here already are old
-- news.
ALTER TABLE backup_history ADD COLUMN IF NOT EXISTS told_at timestamptz DEFAULT now();
ALTER TABLE backup_history ALTER COLUMN told_at DROP DEFAULT;

-- Invariant I1: one started or completed run per occurrence of a schedule; of a run of all
-- databases one per database. (The first form of the index did not know of these.)
DROP INDEX IF EXISTS backup_history_one_per_occurrence;
CREATE UNIQUE INDEX IF NOT EXISTS backup_history_one_per_part
    ON backup_history (schedule_id, occurrence_at,
                       (CASE WHEN of_all_databases THEN coalesce(database_name, '') ELSE '' END))
    WHERE status IN ('started', 'completed') AND occurrence_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS backup_history_by_occurrence
    ON backup_history (schedule_id, occurrence_at);
CREATE INDEX IF NOT EXISTS backup_history_by_completion
    ON backup_history (schedule_id, completed_at);
-- Two schedules that begin in the same millisecond do not get the same name.
CREATE UNIQUE INDEX IF NOT EXISTS backup_history_one_per_name
    ON backup_history (backup_filename) WHERE run_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS backup_history_by_run ON backup_history (run_id);
CREATE INDEX IF NOT EXISTS backup_history_untold ON backup_history (completed_at)
    WHERE told_at IS NULL AND run_id IS NOT NULL AND status IN ('completed', 'failed');
CREATE INDEX IF NOT EXISTS backup_history_interrupted
    ON backup_history (schedule_id) WHERE status = 'started' AND run_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS email_logs_backup_pending
    ON email_logs (created_at) WHERE status = 'pending' AND metadata ? 'rythm_backup';
CREATE INDEX IF NOT EXISTS email_logs_backup_key
    ON email_logs ((metadata->'rythm_backup'->>'key')) WHERE metadata ? 'rythm_backup';
