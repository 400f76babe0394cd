-- The ledger: one row per run. The RYTHM application's table and its name for this file: where the
-- application has made the table already, nothing here changes it.

CREATE TABLE IF NOT EXISTS backup_history (
    history_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    backup_filename varchar(255) NOT NULL,
    backup_type text NOT NULL CHECK (backup_type IN ('scheduled', 'manual')),
    status text NOT NULL CHECK (status IN ('started', 'completed', 'failed')),
    file_size_bytes bigint,                     -- of the object in the store
    duration_seconds integer,
    error_message text,
    initiated_by_user_id uuid,
    started_at timestamptz DEFAULT now(),
    completed_at timestamptz,
    created_at timestamptz DEFAULT now()
);
