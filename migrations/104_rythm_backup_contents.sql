-- What a backup holds, as its manifest totals it; NULL where it has none.
ALTER TABLE backup_history ADD COLUMN IF NOT EXISTS engine text; -- parallel or pg_dump
ALTER TABLE backup_history ADD COLUMN IF NOT EXISTS table_count bigint;
ALTER TABLE backup_history ADD COLUMN IF NOT EXISTS row_count bigint;
