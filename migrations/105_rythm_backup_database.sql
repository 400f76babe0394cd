-- The database that was dumped: a schedule may name another one than that of these tables. NULL in
-- rows of earlier versions.
ALTER TABLE backup_history ADD COLUMN IF NOT EXISTS database_name text;
