-- When a backup is due: computed here and nowhere else, so that `check` and an admin page agree.

-- Keeps timed_at. The admin page edits schedules with plain UPDATEs that know nothing of it.
CREATE OR REPLACE FUNCTION rythm_backup_note_timing() RETURNS trigger
LANGUAGE plpgsql AS $function$
BEGIN
    IF TG_OP = 'INSERT' OR NEW.enabled IS DISTINCT FROM OLD.enabled
        OR NEW.schedule_time IS DISTINCT FROM OLD.schedule_time THEN
        NEW.timed_at := now();
    END IF;
    RETURN NEW;
END
$function$;

DO $block$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgname = 'rythm_backup_note_timing'
                   AND tgrelid = 'backup_schedule'::regclass) THEN
        CREATE TRIGGER rythm_backup_note_timing
            BEFORE INSERT OR UPDATE OF enabled, schedule_time ON backup_schedule
            FOR EACH ROW EXECUTE FUNCTION rythm_backup_note_timing();
    END IF;
END
$block$;

-- The latest scheduled instant that is not after `at`, for a daily time in UTC. Seconds do not
-- count, as they did not in the old service.
CREATE OR REPLACE FUNCTION rythm_backup_occurrence(schedule_time time, at timestamptz)
RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $function$
    SELECT (date_trunc('day', at AT TIME ZONE 'UTC') + date_trunc('minute', schedule_time::interval)
            - CASE WHEN date_trunc('minute', (at AT TIME ZONE 'UTC')::time::interval)
                        < date_trunc('minute', schedule_time::interval)
                   THEN interval '1 day' ELSE interval '0' END) AT TIME ZONE 'UTC'
$function$;

-- Every schedule as it stands at `at`. The oldest row is the default one, to which the backups of
-- the old service belong. state is one of
--   disabled   switched off
--   invalid    a value in the row is wrong; problem says which
--   waiting    the last occurrence is done, too old to catch up, or before the row was timed
--   guarded    a backup of this schedule completed in the last 2 minutes
--   retry      a failed attempt waits for its next one
--   exhausted  three attempts at this occurrence have failed
--   due        to be run now
CREATE OR REPLACE FUNCTION rythm_backup_due(
    at timestamptz DEFAULT now(), catch_up interval DEFAULT interval '1 hour')
RETURNS TABLE (schedule_id uuid, is_default boolean, schedule_time time,
               retention_days integer, occurrence_at timestamptz, next_at timestamptz,
               attempt integer, state text, problem text)
LANGUAGE sql STABLE AS $function$
    SELECT s.schedule_id,
           row_number() OVER (ORDER BY s.created_at NULLS FIRST, s.schedule_id) = 1,
           s.schedule_time, s.retention_days, o.occurrence_at,
           o.occurrence_at + interval '1 day',
           h.failures::integer + 1,
           CASE
               WHEN s.enabled IS NOT TRUE THEN 'disabled'
               WHEN p.problem IS NOT NULL THEN 'invalid'
               WHEN o.occurrence_at < at - catch_up
                    OR o.occurrence_at < date_trunc('minute', s.timed_at)
                    OR h.completed THEN 'waiting'
               WHEN h.guarded THEN 'guarded'
               WHEN h.failures >= 3 THEN 'exhausted'
               WHEN h.failures = 1 AND at < h.failed_at + interval '1 minute'
                    OR h.failures = 2 AND at < h.failed_at + interval '5 minutes' THEN 'retry'
               ELSE 'due'
           END,
           p.problem
    FROM backup_schedule s
    CROSS JOIN LATERAL (
        SELECT rythm_backup_occurrence(s.schedule_time, at) AS occurrence_at) o
    CROSS JOIN LATERAL (
        SELECT CASE
                   WHEN s.schedule_time IS NULL THEN 'schedule_time is not set'
                   WHEN s.schedule_time = time '24:00' THEN 'schedule_time is 24:00; write 00:00'
                   WHEN s.retention_days IS NULL THEN 'retention_days is not set'
                   WHEN s.retention_days < 1 THEN
                       'retention_days is ' || s.retention_days || '; it must be 1 or more'
               END AS problem) p
    CROSS JOIN LATERAL (
        -- Rows of the old service name no schedule: they only guard.
        SELECT count(*) FILTER (WHERE r.occurrence_at = o.occurrence_at
                                  AND r.status = 'failed') AS failures,
               max(r.completed_at) FILTER (WHERE r.occurrence_at = o.occurrence_at
                                             AND r.status = 'failed') AS failed_at,
               bool_or(r.occurrence_at = o.occurrence_at AND r.status = 'completed') AS completed,
               bool_or(r.completed_at > at - interval '2 minutes' AND r.completed_at <= at
                       AND r.status = 'completed') AS guarded
        FROM backup_history r
        WHERE (r.schedule_id = s.schedule_id AND r.occurrence_at = o.occurrence_at)
           OR ((r.schedule_id = s.schedule_id OR r.schedule_id IS NULL)
               AND r.completed_at > at - interval '2 minutes')) h
$function$;
