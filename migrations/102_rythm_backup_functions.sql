-- When a backup is due: computed here and nowhere else, so that `check`, `schedule`, `status` and
-- an admin page agree.

-- Keeps timed_at. The admin page edits schedules with plain UPDATEs that know nothing of it.
CREATE OR REPLACE FUNCTION rythm_backup_note_timing() RETURNS trigger
LANGUAGE plpgsql AS $function$
BEGIN
    IF TG_OP = 'INSERT'
        OR (NEW.enabled, NEW.schedule_time, NEW.frequency, NEW.days, NEW.time_zone)
            IS DISTINCT FROM
           (OLD.enabled, OLD.schedule_time, OLD.frequency, OLD.days, OLD.time_zone) THEN
        NEW.timed_at := now();
    END IF;
    RETURN NEW;
END
$function$;

DO $block$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgname = 'rythm_backup_timing'
                   AND tgrelid = 'backup_schedule'::regclass) THEN
        CREATE TRIGGER rythm_backup_timing BEFORE INSERT OR UPDATE ON backup_schedule
            FOR EACH ROW EXECUTE FUNCTION rythm_backup_note_timing();
    END IF;
END
$block$;

-- The scheduled instants of (after, until], in order. Both must be finite and not centuries apart.
--   daily     at schedule_time in time_zone, once per local day. An instant that a DST change
--             skips moves on by the change (02:30 becomes 03:30), of one that it repeats the second
--             counts: that is how Postgres reads such a time.
--   weekly    the same, on these days of the week: 1 is Monday, 7 is Sunday
--   monthly   the same, on these days of the month: -1 is the last one, and so is a day that a
--             short month does not have
--   hourly    once in each hour of UTC, at the minute of schedule_time on the zone's clock as it
--             stood when that hour began
-- Seconds do not count, as they did not in the old service.
CREATE OR REPLACE FUNCTION rythm_backup_occurrences(
    schedule_time time, frequency text, days integer[], time_zone text,
    after timestamptz, until timestamptz)
RETURNS SETOF timestamptz LANGUAGE sql STABLE AS $function$
    SELECT DISTINCT o.at
    FROM (SELECT coalesce(frequency, 'daily') AS frequency, coalesce(time_zone, 'UTC') AS zone,
                 date_trunc('minute', schedule_time::interval) AS time) s
    CROSS JOIN LATERAL (
        SELECT h.at + make_interval(mins => (60 + extract(minute FROM s.time)::integer
                   - extract(minute FROM h.at AT TIME ZONE s.zone)::integer) % 60) AS at
        FROM generate_series(date_trunc('hour', after, 'UTC'), until, interval '1 hour') h (at)
        WHERE s.frequency = 'hourly'
        UNION ALL
        SELECT (d.day + s.time) AT TIME ZONE s.zone
        FROM generate_series(date_trunc('day', after AT TIME ZONE s.zone) - interval '2 days',
                             (until AT TIME ZONE s.zone) + interval '2 days',
                             interval '1 day') d (day)
        CROSS JOIN LATERAL (
            SELECT extract(day FROM d.day)::integer AS day,
                   extract(day FROM date_trunc('month', d.day)
                                    + interval '1 month - 1 day')::integer AS last
        ) m
        WHERE CASE s.frequency
                  WHEN 'daily' THEN true
                  WHEN 'weekly' THEN extract(isodow FROM d.day)::integer = ANY (days)
                  WHEN 'monthly' THEN m.day = ANY (days)
                      OR m.day = m.last AND (-1 = ANY (days) OR m.last < ANY (days))
              END) o
    WHERE o.at > after AND o.at <= until
    ORDER BY 1
$function$;

-- No two occurrences of a schedule are further apart than this.
CREATE OR REPLACE FUNCTION rythm_backup_longest_gap(frequency text)
RETURNS interval LANGUAGE sql IMMUTABLE AS $function$
    SELECT CASE frequency WHEN 'hourly' THEN interval '3 hours' WHEN 'weekly' THEN interval '9 days'
               WHEN 'monthly' THEN interval '33 days' ELSE interval '3 days' END
$function$;

-- The latest scheduled instant that is not after `at`.
CREATE OR REPLACE FUNCTION rythm_backup_latest(
    schedule_time time, frequency text, days integer[], time_zone text, at timestamptz)
RETURNS timestamptz LANGUAGE sql STABLE AS $function$
    SELECT max(o) FROM rythm_backup_occurrences(schedule_time, frequency, days, time_zone,
                                                at - rythm_backup_longest_gap(frequency), at) o
$function$;

-- The first scheduled instant after `at`.
CREATE OR REPLACE FUNCTION rythm_backup_next(
    schedule_time time, frequency text, days integer[], time_zone text, at timestamptz)
RETURNS timestamptz LANGUAGE sql STABLE AS $function$
    SELECT min(o) FROM rythm_backup_occurrences(schedule_time, frequency, days, time_zone,
                                                at, at + rythm_backup_longest_gap(frequency)) o
$function$;

-- Only names of the time zone database: Postgres also takes 'UTC+2', which is west of Greenwich,
-- and any 'Europe/Stockholm2' for a rule of that name. Such a rule has a digit; of the names with a
-- '/' only those of Etc have. (To look in pg_timezone_names would read hundreds of files.)
CREATE OR REPLACE FUNCTION rythm_backup_is_time_zone(time_zone text)
RETURNS boolean LANGUAGE plpgsql STABLE AS $function$
BEGIN
    IF time_zone !~ '^([A-Za-z][A-Za-z_]*(/[A-Za-z_-]+)+|UTC|GMT)$'
        AND time_zone !~* '^Etc/GMT([+-]?0|[+]([1-9]|1[0-2])|-([1-9]|1[0-4]))$' THEN
        RETURN false;
    END IF;
    PERFORM now() AT TIME ZONE time_zone;
    RETURN true;
EXCEPTION WHEN invalid_parameter_value THEN
    RETURN false;
END
$function$;

-- What is wrong in these columns of a row.
CREATE OR REPLACE FUNCTION rythm_backup_row_problem(schedule backup_schedule)
RETURNS text LANGUAGE sql STABLE AS $function$
    SELECT CASE
        WHEN schedule.schedule_time IS NULL THEN 'schedule_time is not set'
        WHEN schedule.schedule_time = time '24:00' THEN 'schedule_time is 24:00; write 00:00'
        WHEN schedule.retention_days IS NULL THEN 'retention_days is not set'
        WHEN schedule.retention_days < 1 OR schedule.retention_days > 1000000 THEN
            'retention_days is ' || schedule.retention_days::text
                || '; it must be between 1 and 1000000'
        WHEN schedule.frequency NOT IN ('hourly', 'daily', 'weekly', 'monthly') THEN
            'frequency is ''' || left(schedule.frequency, 40)
                || '''; it must be hourly, daily, weekly or monthly'
        WHEN schedule.frequency IN ('weekly', 'monthly')
            AND coalesce(cardinality(schedule.days), 0) = 0 THEN
            'days is empty; a ' || schedule.frequency || ' schedule needs at least one'
        WHEN array_ndims(schedule.days) > 1 THEN 'days is not a simple list'
        WHEN schedule.frequency IN ('weekly', 'monthly')
            AND array_position(schedule.days, NULL) IS NOT NULL THEN 'days holds a NULL'
        WHEN schedule.frequency = 'weekly' AND NOT schedule.days <@ ARRAY[1, 2, 3, 4, 5, 6, 7] THEN
            'days is ' || left(schedule.days::text, 40)
                || '; days of the week are 1 (Monday) to 7 (Sunday)'
        WHEN schedule.frequency = 'monthly' AND (0 = ANY (schedule.days)
            OR -1 > ANY (schedule.days) OR 31 < ANY (schedule.days)) THEN
            'days is ' || left(schedule.days::text, 40)
                || '; days of the month are 1 to 31, and -1 for the last one'
        WHEN schedule.time_zone <> 'UTC' AND NOT rythm_backup_is_time_zone(schedule.time_zone) THEN
            'time_zone is ''' || left(schedule.time_zone, 40)
                || '''; it must be a name as Europe/Stockholm or UTC'
        WHEN schedule.catch_up < interval '1 minute' OR schedule.catch_up > interval '1 day' THEN
            'catch_up is ' || schedule.catch_up::text || '; it must be between 1 minute and 1 day'
        WHEN schedule.target_dbname IS NOT NULL AND schedule.target_service IS NOT NULL THEN
            'target_dbname and target_service are both set; only one of them can be'
        WHEN schedule.all_databases AND schedule.target_dbname IS NOT NULL THEN
            'target_dbname and all_databases are both set; only one of them can be'
        WHEN schedule.all_databases AND schedule.target_service IS NOT NULL THEN
            'all_databases are those of this server, and target_service names another; keep the'
                || ' schedule in a database of that server'
        WHEN schedule.all_databases AND schedule.schemas IS NOT NULL THEN
            'schemas and all_databases are both set, and not every database has these schemas'
        WHEN schedule.target_dbname = '' THEN 'target_dbname is empty; NULL is this database'
        WHEN schedule.target_dbname ~ '=|://' THEN
            'target_dbname is a connection string; it must be the name of a database alone'
        WHEN schedule.target_service = '' THEN 'target_service is empty; NULL is this database'
        WHEN schedule.target_service ~ '=|://' THEN
            'target_service is a connection string; it must be the name of a service alone'
        WHEN cardinality(schedule.schemas) = 0 THEN 'schemas is empty; NULL is all of them'
        WHEN array_ndims(schedule.schemas) > 1 OR array_lower(schedule.schemas, 1) <> 1 THEN
            'schemas is not a simple list'
        WHEN array_position(schedule.schemas, NULL) IS NOT NULL OR '' = ANY (schedule.schemas) THEN
            'schemas holds an empty name'
        WHEN schedule.stores ~ '^\s*$' THEN 'stores is empty; NULL is the configured store'
        WHEN schedule.stores ~* 'accountkey=|sharedaccesssignature=|sig=' THEN
            'stores holds a credential; it must be a URL alone'
        WHEN schedule.verify_every < 0 OR schedule.verify_every > 10000 THEN
            'verify_every is ' || schedule.verify_every::text
                || '; it must be between 0 (never) and 10000'
        WHEN schedule.keep_last NOT BETWEEN 0 AND 10000 THEN
            'keep_last is ' || schedule.keep_last::text
                || '; it must be between 0 (no such rule) and 10000'
        WHEN schedule.keep_daily NOT BETWEEN 0 AND 10000 THEN
            'keep_daily is ' || schedule.keep_daily::text
                || '; it must be between 0 (no such rule) and 10000'
        WHEN schedule.keep_weekly NOT BETWEEN 0 AND 10000 THEN
            'keep_weekly is ' || schedule.keep_weekly::text
                || '; it must be between 0 (no such rule) and 10000'
        WHEN schedule.keep_monthly NOT BETWEEN 0 AND 10000 THEN
            'keep_monthly is ' || schedule.keep_monthly::text
                || '; it must be between 0 (no such rule) and 10000'
        WHEN schedule.keep_yearly NOT BETWEEN 0 AND 10000 THEN
            'keep_yearly is ' || schedule.keep_yearly::text
                || '; it must be between 0 (no such rule) and 10000'
        WHEN array_ndims(schedule.notify_channels) > 1
            OR array_position(schedule.notify_channels, NULL) IS NOT NULL THEN
            'notify_channels is not a simple list'
        WHEN array_ndims(schedule.notify_on) > 1
            OR NOT schedule.notify_on <@ ARRAY['success', 'failure', 'recovery'] THEN
            'notify_on is ' || left(schedule.notify_on::text, 60)
                || '; it may hold success, failure and recovery'
    END
$function$;

-- What is wrong in a row, in words that name the column; NULL when nothing is. A migration that
-- adds columns replaces it by one that asks its own function, too.
CREATE OR REPLACE FUNCTION rythm_backup_problem(schedule backup_schedule)
RETURNS text LANGUAGE sql STABLE AS $function$
    SELECT rythm_backup_row_problem(schedule)
$function$;

-- The databases that all_databases stands for: those that somebody may connect to, but templates
-- and the scratch databases of a restore or a verification; and the one that these tables are in.
-- One row, with NULL, when not all are meant.
CREATE OR REPLACE FUNCTION rythm_backup_databases(every boolean)
RETURNS TABLE (database text) LANGUAGE sql STABLE AS $function$
    SELECT NULL::text WHERE every IS NOT TRUE
    UNION ALL
    SELECT d.datname::text FROM pg_database d
    WHERE every AND (d.datname = current_database() OR d.datallowconn AND NOT d.datistemplate
                     AND d.datconnlimit <> -2 -- a DROP DATABASE that was interrupted
                     AND d.datname !~ '^rythm_(restore|verify|replaced)_[0-9a-f]{16}$')
$function$;

-- Its first form did not tell the database, and another result needs another function.
DO $block$
BEGIN
    IF EXISTS (SELECT FROM pg_proc WHERE proname = 'rythm_backup_schedules'
               AND oid = to_regprocedure('rythm_backup_schedules(timestamptz, interval)')
               AND 'database' <> ALL (proargnames)) THEN
        DROP FUNCTION rythm_backup_schedules(timestamptz, interval);
    END IF;
END
$block$;

-- Every schedule as it stands at `at`. The oldest row is the default one, to which the backups of
-- the old service belong. state is one of
--   disabled   switched off
--   invalid    a value in the row is wrong; problem says which
--   waiting    the last occurrence is done, or before the row was timed
--   missed     the last occurrence was not made, and is too old to catch up: older than catch_up,
--              and than 3 minutes, so that no window is shorter than the guard
--   guarded    a backup of this schedule completed in the last 2 minutes
--   retry      a failed attempt waits for its next one
--   exhausted  three attempts at this occurrence have failed
--   due        to be run now
-- Of a schedule of all databases each stands for itself, and the row is that of the one named by
-- database, whose turn it is: one that is under way, or of which that is not known, comes last.
-- While they are being made the others are not too late. Rows that are no part of a run of all
-- count for each of them.
CREATE OR REPLACE FUNCTION rythm_backup_schedules(
    at timestamptz DEFAULT now(), default_catch_up interval DEFAULT interval '1 hour')
RETURNS TABLE (schedule_id uuid, is_default boolean, occurrence_at timestamptz,
               next_at timestamptz, attempt integer, state text, problem text, database text)
LANGUAGE sql STABLE AS $function$
    SELECT s.schedule_id,
           -- No window function: asked for one schedule, Postgres then looks at no other.
           s.schedule_id = (SELECT f.schedule_id FROM backup_schedule f
                            ORDER BY f.created_at NULLS FIRST, f.schedule_id LIMIT 1),
           o.occurrence_at,
           CASE WHEN p.problem IS NULL THEN
               rythm_backup_next(s.schedule_time, s.frequency, s.days, s.time_zone, at) END,
           b.failures::integer + 1,
           b.state,
           p.problem,
           b.database
    FROM backup_schedule s
    CROSS JOIN LATERAL (SELECT rythm_backup_problem(s) AS problem OFFSET 0) p
    CROSS JOIN LATERAL (
        SELECT CASE WHEN p.problem IS NULL THEN
            rythm_backup_latest(s.schedule_time, s.frequency, s.days, s.time_zone, at)
        END AS occurrence_at OFFSET 0) o
    CROSS JOIN LATERAL (
        SELECT d.database, e.failures + coalesce(h.failures, 0) AS failures, c.state
        FROM rythm_backup_databases(s.all_databases) d
        CROSS JOIN LATERAL (
            -- Rows of the old service name no schedule: they only guard.
            SELECT count(*) FILTER (WHERE r.occurrence_at = o.occurrence_at
                                      AND r.status = 'failed') AS failures,
                   max(r.completed_at) FILTER (WHERE r.occurrence_at = o.occurrence_at
                                                 AND r.status = 'failed') AS failed_at,
                   bool_or(r.occurrence_at = o.occurrence_at AND r.status = 'completed')
                       AS completed,
                   bool_or(r.completed_at > at - interval '2 minutes' AND r.completed_at <= at
                           AND r.status = 'completed') AS guarded
            FROM backup_history r
            WHERE ((r.schedule_id = s.schedule_id AND r.occurrence_at = o.occurrence_at)
                OR ((r.schedule_id = s.schedule_id OR r.schedule_id IS NULL)
                    AND r.completed_at > at - interval '2 minutes'))
                AND (s.all_databases IS NOT TRUE OR r.of_all_databases IS NOT TRUE)) e
        LEFT JOIN LATERAL (
            SELECT r.database_name,
                   count(*) FILTER (WHERE r.status = 'failed') AS failures,
                   max(r.completed_at) FILTER (WHERE r.status = 'failed') AS failed_at,
                   bool_or(r.status = 'completed') AS completed,
                   bool_or(r.status = 'started') AS started
            FROM backup_history r
            WHERE s.all_databases AND r.schedule_id = s.schedule_id
                AND r.occurrence_at = o.occurrence_at AND r.of_all_databases
            GROUP BY r.database_name) h ON h.database_name = d.database
        LEFT JOIN LATERAL (
            -- Until when it went on, as far as the runs know that themselves.
            SELECT max(CASE r.status WHEN 'completed' THEN r.completed_at ELSE r.started_at
                       + coalesce(r.duration_seconds, 0) * interval '1 second' END) AS until
            FROM backup_history r
            WHERE r.schedule_id = s.schedule_id AND r.occurrence_at = o.occurrence_at
                AND r.of_all_databases) g ON s.all_databases
        CROSS JOIN LATERAL (SELECT CASE
               WHEN s.enabled IS NOT TRUE THEN 'disabled'
               WHEN p.problem IS NOT NULL THEN 'invalid'
               -- A timed_at that is to come was written under a clock that was ahead.
               WHEN e.completed OR h.completed
                   OR o.occurrence_at < date_trunc('minute', s.timed_at)
                   AND s.timed_at < now() + interval '1 hour' THEN 'waiting'
               WHEN e.guarded THEN 'guarded'
               WHEN e.failures + coalesce(h.failures, 0) >= 3 THEN 'exhausted'
               WHEN greatest(o.occurrence_at, g.until)
                   < at - greatest(coalesce(s.catch_up, default_catch_up), interval '3 minutes')
                   THEN 'missed'
               WHEN e.failures + coalesce(h.failures, 0) > 0
                   AND at < greatest(e.failed_at, h.failed_at)
                       + CASE e.failures + coalesce(h.failures, 0) WHEN 1 THEN interval '1 minute'
                         ELSE interval '5 minutes' END THEN 'retry'
               ELSE 'due'
           END AS state) c
        ORDER BY array_position(ARRAY['due', 'retry', 'guarded', 'exhausted', 'missed'], c.state),
                 h.started NULLS FIRST, d.database
        LIMIT 1) b
$function$;
