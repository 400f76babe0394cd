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

-- Whoever may edit a schedule need not have any right on that table: this runs as its owner, and so
-- nothing that others may have made is looked up. Columns are compared as JSON: their types are the
-- application's to change, also under a session that has fired this before.
CREATE OR REPLACE FUNCTION rythm_backup_note_edit() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
BEGIN
    -- Not for what the program itself writes.
    IF TG_OP = 'INSERT'
        OR to_jsonb(NEW) - '{last_run_at,next_run_at,updated_at}'::text[]
            IS DISTINCT FROM to_jsonb(OLD) - '{last_run_at,next_run_at,updated_at}'::text[] THEN
        EXECUTE format('INSERT INTO %I.rythm_backup_edits DEFAULT VALUES', TG_TABLE_SCHEMA);
    END IF;
    RETURN NULL;
END
$function$;
-- Nobody else hangs it on a table of their own, beside a rythm_backup_edits of their own.
REVOKE EXECUTE ON FUNCTION rythm_backup_note_edit() FROM PUBLIC;

DO $block$
BEGIN
    -- Its first form named columns, which then could not change their types.
    IF EXISTS (SELECT FROM pg_trigger WHERE tgname = 'rythm_backup_edit'
               AND tgrelid = 'backup_schedule'::regclass AND tgattr::text <> '') THEN
        DROP TRIGGER rythm_backup_edit ON backup_schedule;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgname = 'rythm_backup_edit'
                   AND tgrelid = 'backup_schedule'::regclass) THEN
        CREATE TRIGGER rythm_backup_edit AFTER INSERT OR UPDATE ON backup_schedule
            FOR EACH ROW EXECUTE FUNCTION rythm_backup_note_edit();
    END IF;
END
$block$;

-- What the functions say of a schedule may be something else from now on.
INSERT INTO rythm_backup_edits DEFAULT VALUES;
