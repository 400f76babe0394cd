-- What makes a tick with nothing to do cheap however many schedules there are: until when nothing
-- is due. A tick that has looked at every schedule writes it down; an edit makes it void.

CREATE TABLE IF NOT EXISTS rythm_backup_quiet (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    looked_at timestamptz,      -- when every schedule was looked at, and
    catch_up interval,          -- with this catch-up window, it was found
    quiet_until timestamptz     -- that nothing is due before this
);
INSERT INTO rythm_backup_quiet DEFAULT VALUES ON CONFLICT DO NOTHING;

-- Edits that no tick has looked at yet. Rows are added rather than one row changed, so that an edit
-- never waits for a tick or for another edit, nor fails because of one.
CREATE TABLE IF NOT EXISTS rythm_backup_edits (
    edit_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY
);

-- Whoever may edit a schedule need not have any right on that table.
CREATE OR REPLACE FUNCTION rythm_backup_note_edit() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $function$
BEGIN
    INSERT INTO rythm_backup_edits DEFAULT VALUES;
    RETURN NULL;
END
$function$;

DO $block$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgname = 'rythm_backup_edit'
                   AND tgrelid = 'backup_schedule'::regclass) THEN
        -- Not for last_run_at and next_run_at, which the program itself writes.
        CREATE TRIGGER rythm_backup_edit
            AFTER INSERT OR UPDATE OF enabled, schedule_time, retention_days, created_at, name,
                frequency, days, time_zone, catch_up, target_dbname, target_service, schemas,
                stores, timed_at
            ON backup_schedule FOR EACH STATEMENT EXECUTE FUNCTION rythm_backup_note_edit();
    END IF;
END
$block$;
