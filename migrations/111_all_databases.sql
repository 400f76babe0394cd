-- How a schedule of all databases stands is how each of those does that are there still and that
-- its last 1000 runs were of; of any other schedule only the last run counts, but those of all
-- databases, made by hand.

-- What came of the newest run that has ended: failed if that of one of them was, and then all that
-- failed are named.
CREATE OR REPLACE FUNCTION rythm_backup_newest_run(schedule uuid, every boolean, at timestamptz)
RETURNS TABLE (status text, completed_at timestamptz, error_message text)
LANGUAGE sql STABLE AS $function$
    SELECT CASE WHEN bool_or(e.failed) THEN 'failed' ELSE 'completed' END,
           coalesce(max(e.completed_at) FILTER (WHERE e.failed), max(e.completed_at)),
           CASE WHEN count(*) FILTER (WHERE e.failed) > 1 THEN 'databases '
               || string_agg(e.database_name, ', ' ORDER BY e.database_name)
                  FILTER (WHERE e.failed) || '; ' ELSE '' END
               || string_agg(CASE WHEN every THEN 'database ' || e.database_name || ': '
                             ELSE '' END || left(e.error_message, 2000), '; '
                             ORDER BY e.database_name) FILTER (WHERE e.failed)
    FROM (
    SELECT DISTINCT ON (CASE WHEN every THEN n.database_name END) n.status = 'failed' AS failed,
           n.completed_at, n.database_name, coalesce(n.error_message, 'no reason is recorded')
               AS error_message
    FROM (SELECT h.status, h.completed_at, h.error_message, h.database_name FROM backup_history h
          WHERE h.schedule_id = schedule AND h.status IN ('completed', 'failed')
              AND h.completed_at <= at
              AND (every OR h.of_all_databases IS NOT TRUE OR h.backup_type <> 'manual')
          ORDER BY h.completed_at DESC LIMIT CASE WHEN every THEN 1000 ELSE 1 END) n
    WHERE every IS NOT TRUE OR n.database_name IN (SELECT d.database
                                                   FROM rythm_backup_databases(true) d)
    ORDER BY CASE WHEN every THEN n.database_name END, n.completed_at DESC) e
    HAVING count(*) > 0
$function$;

-- The newest verification of each.
CREATE OR REPLACE FUNCTION rythm_backup_newest_verifications(
    schedule uuid, every boolean, at timestamptz)
RETURNS TABLE (backup_filename text, ended_at timestamptz, failed boolean, verify_error text)
LANGUAGE sql STABLE AS $function$
    SELECT DISTINCT ON (CASE WHEN every THEN n.database_name END) n.backup_filename::text,
           n.ended_at, n.failed, n.verify_error
    FROM (SELECT h.backup_filename, greatest(h.verified_at, h.verify_failed_at) AS ended_at,
                 (h.verified_at > h.verify_failed_at) IS NOT TRUE
                     AND h.verify_failed_at IS NOT NULL AS failed,
                 h.verify_error, h.database_name
          FROM backup_history h
          WHERE h.schedule_id = schedule AND h.status = 'completed'
              AND (h.verified_at IS NOT NULL OR h.verify_failed_at IS NOT NULL)
              AND greatest(h.verified_at, h.verify_failed_at) <= at
          ORDER BY greatest(h.verified_at, h.verify_failed_at) DESC
          LIMIT CASE WHEN every THEN 1000 ELSE 1 END) n
    WHERE every IS NOT TRUE OR n.database_name IN (SELECT d.database
                                                   FROM rythm_backup_databases(true) d)
    ORDER BY CASE WHEN every THEN n.database_name END, n.ended_at DESC
$function$;

-- Has one of them no backup of `since` or a later occurrence, and none that was made by hand after
-- that? One that was never to be dumped by then may not have been there. NULL when there is none of
-- which that could be said.
CREATE OR REPLACE FUNCTION rythm_backup_lacks_database(
    schedule uuid, since timestamptz, at timestamptz)
RETURNS boolean LANGUAGE sql STABLE AS $function$
    SELECT bool_or(NOT n.is_made)
    FROM (SELECT coalesce(bool_or(r.status = 'completed'
                                  AND (r.occurrence_at BETWEEN since AND at
                                       OR r.backup_type = 'manual' AND r.completed_at >= since)),
                          false) AS is_made
          FROM (SELECT h.status, h.backup_type, h.occurrence_at, h.completed_at, h.database_name
                FROM backup_history h
                WHERE h.schedule_id = schedule AND h.status IN ('completed', 'failed')
                    AND h.completed_at <= at
                ORDER BY h.completed_at DESC LIMIT 1000) r
          JOIN rythm_backup_databases(true) d ON d.database = r.database_name
          GROUP BY r.database_name
          HAVING bool_or(coalesce(r.occurrence_at, r.completed_at) <= since)) n
$function$;

-- For metrics: the sums of what is known of the last backup of each and, to compare with it, of
-- what is usual (the median of up to seven before it, or the last itself if it is the first); how
-- many runs have failed since; the oldest of their newest good verifications, and the most backups
-- since.
CREATE OR REPLACE FUNCTION rythm_backup_sums(schedule uuid, at timestamptz)
RETURNS TABLE (duration bigint, bytes bigint, raw_bytes bigint, row_count bigint,
               table_count bigint, usual bigint, failures bigint, failed_at timestamptz,
               proven_at timestamptz, unproven bigint)
LANGUAGE sql STABLE AS $function$
    SELECT sum(n.duration)::bigint, sum(n.bytes)::bigint, sum(n.raw_bytes)::bigint,
           sum(n.row_count)::bigint, sum(n.table_count)::bigint,
           CASE WHEN count(n.usual) > 0 THEN sum(coalesce(n.usual, n.raw_bytes))::bigint END,
           sum(n.failures)::bigint, max(n.failed_at),
           CASE WHEN bool_and(n.proven_at IS NOT NULL) THEN min(n.proven_at) END,
           max(n.unproven)
    FROM (SELECT max(r.duration_seconds) FILTER (WHERE r.is_last) AS duration,
                 max(r.file_size_bytes) FILTER (WHERE r.is_last) AS bytes,
                 max(r.raw_size_bytes) FILTER (WHERE r.is_last) AS raw_bytes,
                 max(r.row_count) FILTER (WHERE r.is_last) AS row_count,
                 max(r.table_count) FILTER (WHERE r.is_last) AS table_count,
                 percentile_disc(0.5::float8) WITHIN GROUP (ORDER BY r.raw_size_bytes)
                     FILTER (WHERE r.status = 'completed' AND r.position BETWEEN 2 AND 8) AS usual,
                 count(*) FILTER (WHERE r.status = 'failed' AND r.position = 0) AS failures,
                 max(r.completed_at) FILTER (WHERE r.status = 'failed') AS failed_at,
                 max(r.proven_at) AS proven_at,
                 count(*) FILTER (WHERE r.status = 'completed'
                     AND (r.completed_at <= r.proven_at) IS NOT TRUE) AS unproven
          FROM (SELECT w.*, w.status = 'completed' AND w.position = 1 AS is_last
                FROM (SELECT h.*,
                             count(*) FILTER (WHERE h.status = 'completed') OVER (
                                 PARTITION BY h.database_name ORDER BY h.completed_at DESC)
                                 AS position,
                             max(h.completed_at) FILTER (WHERE h.status = 'completed'
                                 AND h.verified_at <= at
                                 AND (h.verify_failed_at < h.verified_at) IS NOT FALSE) OVER (
                                 PARTITION BY h.database_name) AS proven_at
                      FROM (SELECT e.* FROM backup_history e
                            WHERE e.schedule_id = schedule AND e.status IN ('completed', 'failed')
                                AND e.completed_at <= at
                            ORDER BY e.completed_at DESC LIMIT 1000) h
                      JOIN rythm_backup_databases(true) d ON d.database = h.database_name) w) r
          GROUP BY r.database_name) n
$function$;
