-- What rythm-backup adds to the two tables above. A row that has only the old columns behaves as it
-- did in the old service, but that a missed minute is caught up and a failure tried again.

-- When the row was last switched on or given another time: an occurrence before that minute is not
-- caught up. Rows that are here already count as timed now.
ALTER TABLE backup_schedule ADD COLUMN IF NOT EXISTS timed_at timestamptz DEFAULT now();

ALTER TABLE backup_history ADD COLUMN IF NOT EXISTS run_id text;
ALTER TABLE backup_history ADD COLUMN IF NOT EXISTS schedule_id uuid;
ALTER TABLE backup_history ADD COLUMN IF NOT EXISTS occurrence_at timestamptz;
ALTER TABLE backup_history ADD COLUMN IF NOT EXISTS attempt integer;
ALTER TABLE backup_history ADD COLUMN IF NOT EXISTS raw_size_bytes bigint;
ALTER TABLE backup_history ADD COLUMN IF NOT EXISTS sha256 text;
ALTER TABLE backup_history ADD COLUMN IF NOT EXISTS store text;

-- Invariant I1: one started or completed run per occurrence of a schedule.
CREATE UNIQUE INDEX IF NOT EXISTS backup_history_one_per_occurrence
    ON backup_history (schedule_id, occurrence_at)
    WHERE status IN ('started', 'completed') AND occurrence_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS backup_history_by_occurrence
    ON backup_history (schedule_id, occurrence_at);
CREATE INDEX IF NOT EXISTS backup_history_by_completion
    ON backup_history (schedule_id, completed_at);
CREATE INDEX IF NOT EXISTS backup_history_interrupted
    ON backup_history (schedule_id) WHERE status = 'started' AND run_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS email_logs_backup_pending
    ON email_logs (created_at) WHERE status = 'pending' AND metadata ? 'rythm_backup';
CREATE INDEX IF NOT EXISTS email_logs_backup_key
    ON email_logs ((metadata->'rythm_backup'->>'key')) WHERE metadata ? 'rythm_backup';
