-- Tables by pg_dump's patterns ("public.*", "audit_log"): these alone, all but these, and those of
-- which only the definition is dumped. NULL is none.
ALTER TABLE backup_schedule ADD COLUMN IF NOT EXISTS only_tables text[];
ALTER TABLE backup_schedule ADD COLUMN IF NOT EXISTS exclude_tables text[];
ALTER TABLE backup_schedule ADD COLUMN IF NOT EXISTS exclude_table_data text[];

-- What is wrong in one of them, in words that name the column; NULL when nothing is. Whether a
-- pattern chooses a table is the dump's to find out.
CREATE OR REPLACE FUNCTION rythm_backup_patterns_problem(patterns text[], name text)
RETURNS text LANGUAGE sql IMMUTABLE AS $function$
    SELECT CASE
        WHEN cardinality(patterns) = 0 THEN name || ' is empty; NULL is none'
        WHEN array_ndims(patterns) > 1 OR array_lower(patterns, 1) <> 1 THEN
            name || ' is not a simple list'
        WHEN array_position(patterns, NULL) IS NOT NULL OR '' = ANY (patterns) THEN
            name || ' holds an empty pattern'
        WHEN cardinality(patterns) > 1000 THEN name || ' holds more than 1000 patterns'
        WHEN EXISTS (SELECT FROM unnest(patterns) p (text) WHERE length(p.text) > 1024) THEN
            name || ' holds a pattern of more than 1024 characters'
        WHEN EXISTS (SELECT FROM unnest(patterns) p (text)
                     WHERE length(replace(p.text, '"', '')) % 2 <> length(p.text) % 2) THEN
            name || ' holds a pattern whose double quote is not closed'
        WHEN EXISTS (SELECT FROM unnest(patterns) p (text)
                     WHERE regexp_replace(p.text, '"[^"]*"', '', 'g') ~ '[.].*[.]') THEN
            name || ' holds a pattern with more than one dot; write SCHEMA.TABLE'
    END
$function$;

CREATE OR REPLACE FUNCTION rythm_backup_tables_problem(schedule backup_schedule)
RETURNS text LANGUAGE sql STABLE AS $function$
    SELECT CASE
        WHEN schedule.schemas IS NOT NULL AND schedule.only_tables IS NOT NULL THEN
            'only_tables and schemas are both set; only one of them can be'
        WHEN schedule.all_databases AND schedule.only_tables IS NOT NULL THEN
            'only_tables and all_databases are both set, and not every database has these tables'
        ELSE coalesce(
            rythm_backup_patterns_problem(schedule.only_tables, 'only_tables'),
            rythm_backup_patterns_problem(schedule.exclude_tables, 'exclude_tables'),
            rythm_backup_patterns_problem(schedule.exclude_table_data, 'exclude_table_data'))
    END
$function$;

CREATE OR REPLACE FUNCTION rythm_backup_problem(schedule backup_schedule)
RETURNS text LANGUAGE sql STABLE AS $function$
    SELECT coalesce(rythm_backup_row_problem(schedule), rythm_backup_tables_problem(schedule))
$function$;
