-- When who is to be told of a failed verification was written to the outbox, or nobody was to be.
-- NULL while it could not be written: the next check makes up for it.
ALTER TABLE backup_history ADD COLUMN IF NOT EXISTS verify_told_at timestamptz;

CREATE INDEX IF NOT EXISTS backup_history_verification_untold ON backup_history (verify_failed_at)
    WHERE verify_told_at IS NULL AND verify_failed_at IS NOT NULL;
