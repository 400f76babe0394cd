-- How the last verification of a backup ended. It went well: verified_at, with so many rows in so
-- long, and no verify_failed_at. It failed: verify_failed_at and verify_error, and no verified_at.
ALTER TABLE backup_history ADD COLUMN IF NOT EXISTS verified_at timestamptz;
ALTER TABLE backup_history ADD COLUMN IF NOT EXISTS verified_rows bigint;
ALTER TABLE backup_history ADD COLUMN IF NOT EXISTS verify_duration_ms bigint; -- of either
ALTER TABLE backup_history ADD COLUMN IF NOT EXISTS verify_failed_at timestamptz;
ALTER TABLE backup_history ADD COLUMN IF NOT EXISTS verify_error text;

-- Retention asks by name, status for the newest of a schedule.
CREATE INDEX IF NOT EXISTS backup_history_verification_by_name ON backup_history (backup_filename)
    WHERE verified_at IS NOT NULL OR verify_failed_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS backup_history_verifications
    ON backup_history (schedule_id, greatest(verified_at, verify_failed_at))
    WHERE verified_at IS NOT NULL OR verify_failed_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS backup_history_verified
    ON backup_history (schedule_id, started_at) WHERE verified_at IS NOT NULL;
